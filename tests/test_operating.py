"""What wakes a human is what the code measures and the docs explain."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from local.template import read_yaml
from shared.jobs import JobStatus

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def alarms() -> dict[str, dict[str, Any]]:
    """The template's alarms."""
    resources = read_yaml((ROOT / "template.yaml").read_text())["Resources"]
    return {
        name: resource["Properties"]
        for name, resource in resources.items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    }


@pytest.fixture(scope="module")
def filtered() -> set[str]:
    """The metrics that CloudWatch makes of log lines."""
    resources = read_yaml((ROOT / "template.yaml").read_text())["Resources"].values()
    filters = [one["Properties"] for one in resources if one["Type"] == "AWS::Logs::MetricFilter"]
    return {made["MetricName"] for one in filters for made in one["MetricTransformations"]}


def test_each_alarm_is_explained(alarms: dict[str, Any]) -> None:
    """docs/operating.md has a section for each alarm, with something to do, and for no other."""
    sections = re.findall(
        r"^### (\w+)\n(.*?)(?=^##|\Z)", (ROOT / "docs/operating.md").read_text(), re.MULTILINE | re.DOTALL
    )
    assert {name for name, _ in sections} == set(alarms)
    assert [name for name, text in sections if "*Do:*" not in text] == []


def test_each_alarm_tells_somebody(alarms: dict[str, Any]) -> None:
    """Every alarm goes to the topic, and so does its end."""
    assert len(alarms) >= 9
    for alarm in alarms.values():
        assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": "Alarms"}]


def test_each_alarm_watches_what_is_measured(alarms: dict[str, Any], filtered: set[str]) -> None:
    """A metric of our own is in the code under the name that the alarm has for it, or taken from a log."""
    code = "".join(file.read_text() for folder in ("functions", "shared") for file in (ROOT / folder).glob("*.py"))
    own = {alarm["MetricName"] for alarm in alarms.values() if alarm.get("Namespace") == "Darkroom"} - filtered
    assert len(own) >= 6
    assert [name for name in own if f'"{name}"' not in code] == []


def test_the_dashboard_shows_each_alarm_and_what_is_measured(alarms: dict[str, Any], filtered: set[str]) -> None:
    """The dashboard is JSON once its names are filled in, and shows every alarm and only metrics that the code has."""
    resources = read_yaml((ROOT / "template.yaml").read_text())["Resources"]
    text = resources["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    widgets = json.loads(re.sub(r"\$\{[^}]+\}", "x", text))["widgets"]
    assert {"alarm", "metric", "log"} == {widget["type"] for widget in widgets}
    assert set(re.findall(r"\$\{(\w+Alarm)\.Arn\}", text)) == set(alarms)
    code = "".join(file.read_text() for folder in ("functions", "shared") for file in (ROOT / folder).glob("*.py"))
    shown = set(re.findall(r'\["Darkroom", "(\w+)"', text))
    assert 'count(f"Job{to.capitalize()}")' in code
    statuses = {f"Job{status.capitalize()}" for status in JobStatus if status.is_settled}
    assert {"JobSucceeded", "JobFailed"} <= shown & statuses
    assert [name for name in shown - statuses - filtered if f'"{name}"' not in code] == []

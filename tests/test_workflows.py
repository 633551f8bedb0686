"""The workflows run what is here, by actions that nobody can exchange."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github/workflows").iterdir())


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.name)
def text(request: pytest.FixtureRequest) -> str:
    """A workflow."""
    return str(request.param.read_text())


def jobs(text: str) -> dict[str, dict[str, Any]]:
    """The jobs of a workflow."""
    found: dict[str, dict[str, Any]] = yaml.safe_load(text)["jobs"]
    # Who calls another workflow of ours has no steps.
    return {name: job for name, job in found.items() if not job.get("uses", "").startswith("$/")}


def test_actions_are_pinned(text: str) -> None:
    """Each action is named by the hash of a commit, with its version beside it for people and Dependabot."""
    used = re.findall(r"uses:( [^$].*)", text)
    assert used
    for action in used:
        assert re.fullmatch(r" [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_one_version_of_an_action() -> None:
    """No action is used in two versions."""
    used = set(re.findall(r"uses: ([^$].*)", "".join(path.read_text() for path in WORKFLOWS)))
    assert len({action.partition("@")[0] for action in used}) == len(used)


def test_targets_exist(text: str) -> None:
    """Each target that a workflow makes is a rule of the Makefile."""
    rules = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    made = [step["run"].split() for job in jobs(text).values() for step in job["steps"] if "run" in step]
    assert made
    for command, *targets in made:
        assert command == "make"
        assert targets
        assert set(targets) <= rules


def test_jobs_may_little(text: str) -> None:
    """A job ends in time, reads the repository and never writes to it, and keeps no credentials in its checkout."""
    assert yaml.safe_load(text)["permissions"] == {}
    for job in jobs(text).values():
        assert job["timeout-minutes"] <= 60
        assert job["permissions"].pop("contents") == "read"
        assert set(job["permissions"]) <= {"id-token"}
        checkouts = [step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@")]
        assert [step["with"]["persist-credentials"] for step in checkouts] == [False]


def test_checked_pythons_are_those_supported() -> None:
    """`make check` runs on the oldest Python that is supported, and on the one of the functions."""
    pythons = jobs((ROOT / ".github/workflows/check.yml").read_text())["check"]["strategy"]["matrix"]["python"]
    oldest = re.search(r'requires-python = ">=(.*)"', (ROOT / "pyproject.toml").read_text())
    runtime = re.search(r"Runtime: python(.*)", (ROOT / "template.yaml").read_text())
    assert oldest
    assert runtime
    assert {oldest[1], runtime[1]} <= set(pythons)


def test_what_fails_the_checks_is_not_deployed() -> None:
    """The deploy waits for all of check.yml, also for a tag that is pushed without a branch."""
    found = yaml.safe_load((ROOT / ".github/workflows/deploy.yml").read_text())["jobs"]
    assert found["check"]["uses"] == "$/.github/workflows/check.yml"
    assert found["deploy"]["needs"] == "check"
    # YAML takes the key `on` for a yes.
    assert "workflow_call" in yaml.safe_load((ROOT / ".github/workflows/check.yml").read_text())[True]

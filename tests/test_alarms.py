"""Which alarms ring when: each alarm's own arithmetic, over made-up days."""

import operator
from collections.abc import Callable
from typing import Any

import pytest

from functions.sweep import COMPARED
from local.template import TEMPLATE_FILE, Resolver, read_yaml

MINUTES = 26 * 60
Course = Callable[[int], float | None]
"""What a metric has in each minute; None where nothing is sent."""


def once(count: float = 1) -> Course:
    """In one minute of the day."""
    return lambda minute: count if minute == 600 else None


def always(count: float) -> Course:
    """In each minute of the day."""
    return lambda _: count


def for_hours(count: float) -> Course:
    """In each minute of six hours."""
    return lambda minute: count if 600 <= minute < 960 else None


def hidden_for(minutes: int) -> Course:
    """The age in seconds of a message that is in its queue for so long."""
    return lambda minute: 60.0 * (minute - 600) if 600 <= minute < 600 + minutes else 0


QUIET: dict[str, Course] = {
    "Sweep Invocations": always(1),
    "JobBegun": lambda minute: 1 if minute % 10 == 0 else None,
    "JobSucceeded": lambda minute: 1 if minute % 10 == 1 else 0,
    **dict.fromkeys(COMPARED[1:], always(0)),
}
AGE = "Uploads ApproximateAgeOfOldestMessage"
DAYS: dict[str, tuple[dict[str, Course], set[str]]] = {
    "quiet": ({}, set()),
    "mishaps, each once": (
        {
            **dict.fromkeys(("JobFailed", "WebhookLost", "LookFailed", "DeliveryUnverified"), once()),
            **dict.fromkeys(("OutputUnavailable", "DeliveryRefused", "Api 5xx"), once()),
            AGE: hidden_for(16),
        },
        set(),
    ),
    "a backlog of six hours, some deliveries of which are slow": (
        {
            "JobBegun": once(900),
            "JobSucceeded": for_hours(12),
            "JobFailed": for_hours(0.5),
            "WebhookLost": for_hours(1),
            AGE: for_hours(1200),
        },
        set(),
    ),
    "100,000 photos by mistake": ({"JobBegun": for_hours(280), "JobSucceeded": for_hours(240)}, {"JobsBegunAlarm"}),
    "no delivery arrives": ({"JobSucceeded": for_hours(2), "WebhookLost": for_hours(2)}, {"WebhookLostAlarm"}),
    "the pictures' host is dead": ({"OutputUnavailable": for_hours(3)}, {"OutputUnavailableAlarm"}),
    "the pictures' host has moved": ({"OutputNotAllowed": for_hours(0.2)}, {"OutputNotAllowedAlarm"}),
    "the account is locked": ({"ProviderLocked": for_hours(1)}, {"ProviderLockedAlarm"}),
    "a batch in which every job fails": ({"JobBegun": once(40), "JobFailed": once(40)}, {"JobsFailingAlarm"}),
    "a batch in which every tenth job fails": (
        {"JobBegun": once(400), "JobFailed": once(40), "JobSucceeded": once(360)},
        set(),
    ),
    "a pause of six hours": ({"Paused": for_hours(1)}, set()),
    "a pause of a day": ({"Paused": always(1)}, {"PausedAlarm"}),
    "a paid picture is lost": (
        {"JobFailed": once(), "PaidResultLost": once(), "JobGivenUp": once()},
        {"PaidResultLostAlarm", "JobGivenUpAlarm"},
    ),
    "the sweep is off": ({"Sweep Invocations": lambda minute: 1 if minute < 600 else None}, {"SweepStoppedAlarm"}),
    "the queue may not be written to": ({"UploadRule FailedInvocations": once()}, {"UploadsUndeliveredAlarm"}),
    "an event that fails five times": (
        {
            AGE: hidden_for(75),
            "UploadsDead ApproximateNumberOfMessagesVisible": lambda minute: 1 if minute >= 675 else 0,
        },
        {"UploadsLateAlarm", "UploadsDeadAlarm"},
    ),
    "a bug": (
        {"Sweep Errors": for_hours(1), "LookFailed": for_hours(1), "Api 5xx": for_hours(2)},
        {"FunctionErrorsAlarm", "LookFailedAlarm", "ApiFailingAlarm"},
    ),
    "the AWS account has no room": ({"SubmitFromUpload Throttles": for_hours(3)}, {"FunctionThrottlesAlarm"}),
    "an outsider floods the API": ({"ApiThrottled": for_hours(500)}, {"ApiThrottledAlarm"}),
    "fal's signing keys cannot be fetched": (
        {
            "JobSucceeded": for_hours(2),
            "WebhookLost": for_hours(2),
            "DeliveryUnverified": for_hours(4),
            "Api 5xx": for_hours(4),
        },
        {"DeliveryUnverifiedAlarm", "WebhookLostAlarm", "ApiFailingAlarm"},
    ),
}
"""What happens in a day, and the alarms that it is to ring."""


@pytest.fixture(scope="module")
def alarms() -> dict[str, dict[str, Any]]:
    """The template's alarms, with the parameters' defaults; what a metric is about stays a name of the template's."""
    content = read_yaml(TEMPLATE_FILE.read_text())
    resolver = Resolver(content, {})
    found = {name: one["Properties"] for name, one in content["Resources"].items() if name.endswith("Alarm")}
    return {name: {**alarm, "Threshold": resolver.resolve(alarm["Threshold"])} for name, alarm in found.items()}


def name_of(metric: dict[str, Any]) -> str:
    """A metric's name as the days above have it: AWS's own with what they are about."""
    (dimension,) = metric["Dimensions"]
    about: str = dimension["Value"].get("Ref") or dimension["Value"]["Fn::GetAtt"].partition(".")[0]
    return metric["MetricName"] if metric["Namespace"] == "Darkroom" else f"{about} {metric['MetricName']}"


def per_period(course: Course, seconds: int, statistic: str) -> list[float | None]:
    """A metric as CloudWatch adds it up."""
    minutes = seconds // 60
    periods = [[course(minute) for minute in range(start, start + minutes)] for start in range(0, MINUTES, minutes)]
    sent = [[value for value in period if value is not None] for period in periods]
    return [(max(values) if statistic == "Maximum" else sum(values)) if values else None for values in sent]


def values_of(alarm: dict[str, Any], day: dict[str, Course]) -> list[float | None]:
    """What the alarm looks at, in each of its periods."""

    def read(metric: dict[str, Any], seconds: int, statistic: str) -> list[float | None]:
        return per_period(day.get(name_of(metric), lambda _: None), seconds, statistic)

    if "Metrics" not in alarm:
        return read(alarm, alarm["Period"], alarm["Statistic"])
    (shown,) = [one for one in alarm["Metrics"] if one.get("ReturnData", True)]
    hidden = {
        one["Id"]: read(one["MetricStat"]["Metric"], one["MetricStat"]["Period"], one["MetricStat"]["Stat"])
        for one in alarm["Metrics"]
        if one is not shown
    }
    return [
        calculate(shown["Expression"], dict(zip(hidden, row, strict=True)))
        for row in zip(*hidden.values(), strict=True)
    ]


def calculate(expression: str, values: dict[str, float | None]) -> float | None:
    """One period of CloudWatch's metric math, of which the template uses what is Python's as well, but for these.

    A comparison with what is not sent gives nothing.
    """
    sent = [value for value in values.values() if value is not None]
    if "METRICS" not in expression and len(sent) < len(values):
        return None
    words: dict[str, Any] = {
        "METRICS": lambda: sent,
        "SUM": lambda added: sum(added) if added else None,
    }
    result: float | None = eval(expression.replace(" AND ", " and "), {"__builtins__": {}}, words | values)  # noqa: S307 - the template's own
    return result


def rings(alarm: dict[str, Any], day: dict[str, Course]) -> bool:
    """Whether all of some periods in a row breach (CloudWatch docs: evaluating an alarm)."""
    threshold = float(alarm["Threshold"])
    breaches: Callable[[float, float], bool] = {
        "GreaterThanOrEqualToThreshold": operator.ge,
        "GreaterThanThreshold": operator.gt,
        "LessThanThreshold": operator.lt,
    }[alarm["ComparisonOperator"]]
    missing = alarm["TreatMissingData"] == "breaching"
    breached = [missing if value is None else breaches(value, threshold) for value in values_of(alarm, day)]
    row = alarm["EvaluationPeriods"]
    return any(all(breached[start : start + row]) for start in range(len(breached) - row + 1))


@pytest.mark.parametrize("name", DAYS)
def test_a_day_rings_what_it_should(
    name: str, alarms: dict[str, dict[str, Any]], record_property: Callable[[str, object], None]
) -> None:
    """Each alarm is silent on a day that needs nobody, and rings on the day that it is for."""
    own, expected = DAYS[name]
    rung = {alarm for alarm in alarms if rings(alarms[alarm], QUIET | own)}
    record_property(f"alarms, {name}", ", ".join(sorted(rung)) or "none")
    assert rung == expected


def test_every_alarm_has_a_day(alarms: dict[str, dict[str, Any]]) -> None:
    """No alarm is left out, and no series is of a metric that none watches, but for what others are compared with."""
    assert set.union(*(expected for _, expected in DAYS.values())) == set(alarms)

"""What is counted: each job once, when and where it settles."""

import json
from datetime import timedelta
from typing import Any

import pytest

from shared.jobs import JobError
from shared.observability import metrics


def counted(capsys: pytest.CaptureFixture[str], name: str) -> float:
    """The sum of a metric in all that the functions printed since the last look (CloudWatch docs: EMF)."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    return float(sum(sum(line.get(name, [])) for line in lines))


@pytest.fixture(autouse=True)
def _metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_DISABLED", "false")
    metrics.clear_metrics()  # of tests that counted and ended no function


def test_a_job_is_counted_once_however_often_it_is_delivered(system: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """A delivery settles its job and counts it; a copy of it counts nothing."""
    system.upload(system.put("products/cup.png"))
    system.pass_time(60)
    (delivery,) = system.deliveries
    assert system.call_back(*delivery) == 200
    assert counted(capsys, "JobSucceeded") == 1


def test_a_job_that_is_finished_by_asking_is_counted(system: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Where no delivery comes the sweep settles the job, and counts it."""
    system.deliver = lambda *_: 500
    system.upload(system.put("products/cup.png"))
    system.pass_time(300)
    assert [job["status"] for job in system.jobs()] == ["succeeded"]
    assert counted(capsys, "JobSucceeded") == 1


def test_a_job_that_fails_at_once_is_counted(system: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """An upload that is no picture is a failed job."""
    system.s3.put_object(Bucket="darkroom-inputs", Key="products/cup.png", Body=b"no picture")
    system.upload(system.created("products/cup.png"))
    assert counted(capsys, "JobFailed") == 1


def test_a_row_that_is_given_up_is_counted_once(system: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Failing an open row counts it, also where the reply was lost and the SDK wrote again; a settled row is not."""
    _, job = system.post({"prompt": "p"})
    table, error = system.app.jobs, JobError(type="look_failed", message="m")
    later = system.app.now() + timedelta(days=1)
    system.sweep()
    assert counted(capsys, "JobFailed") == 0

    def write_twice(**request: Any) -> Any:
        update(**request)
        return update(**request)

    update = system.app.dynamodb.update_item
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(system.app.dynamodb, "update_item", write_twice)
        table.give_up(job["job_id"], later, error)
    table.give_up(job["job_id"], later, error)
    system.sweep()
    metrics.flush_metrics()
    assert counted(capsys, "JobFailed") == 1

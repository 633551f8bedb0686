"""What is counted: each job once, when and where it settles."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from shared.jobs import JobError
from shared.observability import metrics


def test_a_job_is_counted_once_however_often_it_is_delivered(system: Any, counted: Callable[[str], float]) -> None:
    """A delivery settles its job and counts it; a copy of it counts nothing."""
    system.upload(system.put("products/cup.png"))
    system.pass_time(60)
    (delivery,) = system.deliveries
    assert system.call_back(*delivery) == 200
    assert counted("JobSucceeded") == 1


def test_a_job_that_is_finished_by_asking_is_counted(system: Any, counted: Callable[[str], float]) -> None:
    """Where no delivery comes the sweep settles the job, and counts it."""
    system.deliver = lambda *_: 500
    system.upload(system.put("products/cup.png"))
    system.pass_time(300)
    assert [job["status"] for job in system.jobs()] == ["succeeded"]
    assert counted("JobSucceeded") == 1


def test_a_job_that_fails_at_once_is_counted(system: Any, counted: Callable[[str], float]) -> None:
    """An upload that is no picture is a failed job."""
    system.s3.put_object(Bucket="darkroom-inputs", Key="products/cup.png", Body=b"no picture")
    system.upload(system.created("products/cup.png"))
    assert counted("JobFailed") == 1


def test_a_row_that_is_given_up_is_counted_once(system: Any, counted: Callable[[str], float]) -> None:
    """Failing an open row counts it, also where the reply was lost and the SDK wrote again; a settled row is not."""
    _, job = system.post({"prompt": "p"})
    table, error = system.app.jobs, JobError(type="look_failed", message="m")
    later = system.app.now() + timedelta(days=1)
    system.sweep()
    assert counted("JobFailed") == 0

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
    assert counted("JobFailed") == 1

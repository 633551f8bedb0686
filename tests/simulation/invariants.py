"""What must hold in every run: some of it watched at each step, the rest looked at when all is over."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer

from shared.jobs import MOVES, JobStatus
from shared.waiting import ATTEMPT, LEASE
from tests.simulation.places import is_given_up
from tests.simulation.promises import Promises
from tests.simulation.scenarios import PRESETS, PROMPT
from tests.simulation.uploads import version_of

if TYPE_CHECKING:
    from local.fal.requests import Request
    from tests.simulation.world import World

SETTLED = frozenset({"succeeded", "failed", "cancelled"})
ROWS_THAT_ARE_NO_JOBS = "shared#"


@dataclass(frozen=True)
class Violation:
    """An invariant that did not hold, and how."""

    invariant: str
    what: str

    def __str__(self) -> str:
        """For the reader."""
        return f"{self.invariant}: {self.what}"


def plain(item: dict[str, Any]) -> dict[str, Any]:
    """A row as Python has it."""
    return {name: TypeDeserializer().deserialize(value) for name, value in item.items()}


class Watch:
    """Sees every write, every deleted message and every answered delivery, and judges."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._seen: dict[str, dict[str, Any]] = {}
        self._settled_from: dict[str, str] = {}
        self.promises = Promises(world, self)
        self.violations: list[Violation] = []

    def found(self, invariant: str, what: str) -> None:
        """Note that something does not hold."""
        self.violations.append(Violation(invariant, what))

    def written(self, job_id: str, process: str) -> None:
        """Look at a row after a write: what is settled stays as it is, and every move is a legal one."""
        if job_id.startswith(ROWS_THAT_ARE_NO_JOBS):
            return
        item, before = self._world.backend.row(job_id), self._seen.get(job_id)
        if item is None:
            self.found("I4", f"the row of {job_id} is gone")
            return
        self._seen[job_id] = item
        status = item["status"]["S"]
        was = before["status"]["S"] if before else "new"
        if status in SETTLED and was not in SETTLED:
            self._settled_from[job_id] = was
        if status != was:
            self._world.note(process, "", job_id, f"moves {was} -> {status} {item.get('reason', {}).get('S', '')}")
        if before and was in SETTLED and before != item:
            changed = sorted(name for name in before.keys() | item.keys() if before.get(name) != item.get(name))
            self.found("I4", f"job {job_id} was {was} and changed: {', '.join(changed)}")
        if before and status != was and JobStatus(status) not in MOVES[JobStatus(was)]:
            self.found("I4", f"job {job_id} moved from {was} to {status}")

    def deleted(self, body: str) -> None:
        """A message is about to be deleted: its jobs must stand in the table."""
        detail = json.loads(body)["detail"]
        if missing := self._missing(detail["object"]["key"], version_of(detail["object"]), detail["object"]["size"]):
            self.found("I8", f"the message of {detail['object']['key']} is deleted without {missing} of its jobs")

    def answered(self, url: str, request_id: str, *, succeeded: bool, status: int) -> None:
        """A delivery was answered: 2xx says that it need not come again, so what it says must be in the table."""
        job_id, attempt = _target(url)
        item = self._world.backend.row(job_id)
        if not 200 <= status < 300:
            return
        # After an error another attempt may follow.
        known = {*SETTLED, "storing"} if succeeded else {*SETTLED, "storing", "accepted"}
        if item is not None and not succeeded and _is_to_be_asked(item, request_id):
            known.add(item["status"]["S"])
        if item is None or (item["status"]["S"] not in known and int(item["attempt"]["N"]) <= attempt):
            self.found(
                "I8", f"the delivery of {request_id} was answered {status}, and job {job_id} does not know of it"
            )

    def forged(self, call_back: Callable[..., int], url: str, headers: dict[str, str], body: bytes) -> None:
        """Make a forged call, which must be refused, change nothing and cost no more than secrets and fal's keys."""
        world = self._world
        before, first, pauses = list(world.backend.rows()), len(world.points), world.pauses
        status = call_back(url, headers, body)
        # Who has neither secrets nor keys must get them first; all else is the cost of a forgery.
        free = ("secretsmanager.", "fal.keys")
        calls = [point for point in world.points[first:] if not point.operation.startswith(free)]
        cost = {point.operation for point in calls if not point.subject.startswith(ROWS_THAT_ARE_NO_JOBS)}
        changed = before != list(world.backend.rows())
        # While a call waits the rest of the world goes on, and makes calls of its own.
        if status < 300 or (world.pauses == pauses and (cost or changed)):
            self.found("I7", f"a forged delivery was answered {status} and made {sorted(cost) or 'a change'}")

    def misdirected(self, call_back: Callable[..., int], url: str, headers: dict[str, str], body: bytes) -> None:
        """Make a true call about a job that is not there: fal is not to think that it arrived."""
        if call_back(url, headers, body) < 400:
            self.found("I8", "a delivery about no job was answered as if it had been taken")

    def _missing(self, key: str, version: str, size: int) -> int:
        """How many jobs an upload lacks: each of its presets makes one, and none where there is nothing to edit."""
        expected = sum(any(pattern.matches(key) for pattern in preset.uploads) for preset in PRESETS.values())
        expected = expected if size else 0
        uploads = (item["upload"]["M"] for item in self._world.backend.rows() if "upload" in item)
        versions = [upload["version"]["S"].partition(":")[0] for upload in uploads if upload["key"]["S"] == key]
        return expected - versions.count(version)

    # At the end.

    def judge(self, log: str) -> list[Violation]:
        """Judge the whole run."""
        world = self._world
        jobs = {item["job_id"]["S"]: plain(item) for item in world.backend.rows() if "status" in item}
        requests: dict[str, list[Request]] = {}
        for request in world.fal.requests():
            requests.setdefault(_target(request.webhook_url or "")[0], []).append(request)
        self._judge_none_lost(jobs, requests)
        for job_id, job in jobs.items():
            self._judge_settled(job)
            if (shown := world.read(job_id, job["owner"])) != job["status"]:
                self.found("I2", f"job {job_id} is {job['status']}, and its owner reads {shown}")
            self._judge_outputs(job, requests.get(job_id, []))
            self._judge_payment(job, requests.get(job_id, []))
        for (bucket, key), stored in world.backend.objects().items():
            if bucket == world.settings.outputs_bucket and stored.metadata.get("darkroom-job") not in jobs:
                self.found("I5", f"the output {key} belongs to no job")
        self.promises.judge(jobs, requests, log)
        self._judge_log(log)
        return self.violations

    def _judge_none_lost(self, jobs: dict[str, Any], requests: dict[str, Any]) -> None:
        world = self._world
        for put in world.uploads.made:
            if missing := self._missing(put.key, put.version, len(put.content)):
                self.found("lost", f"the upload of {put.key} {put.version} lacks {missing} jobs")
        for client in world.clients:
            for job_id in client.job_ids - jobs.keys():
                self.found("lost", f"job {job_id} was promised with a 202 and is not there")
            if client.post.key and len(client.job_ids) > 1:
                self.found("I1", f"one Idempotency-Key made the jobs {sorted(client.job_ids)}")
        for job_id in requests.keys() - jobs.keys():
            self.found("I1", f"fal has a request of job {job_id}, which is not there")

    def _judge_settled(self, job: dict[str, Any]) -> None:
        if job["status"] not in SETTLED:
            self.found("I2", f"job {job['job_id']} is still {job['status']} ({job.get('reason')})")
        world = self._world
        if (job.get("error") or {}).get("type") not in {"no_word_from_fal", "reply_lost"}:
            return
        # A process that died, or that could not write what it knew, leaves a doubt behind it.
        troubled = any(step[4].startswith(("crashed", "raise")) for step in world.trace)
        if not troubled and all(point.operation != "fal.submit" for point in world.points):
            self.found("lost", f"job {job['job_id']} was given up as in doubt, and was never sent")

    def _judge_outputs(self, job: dict[str, Any], requests: "list[Request]") -> None:
        if job["status"] != "succeeded":
            return
        objects = self._world.backend.objects()
        made = [file for request in requests for file in self._world.fal.made(request)]
        if not job.get("outputs"):
            self.found("I3", f"job {job['job_id']} succeeded without an output")
        for output in job.get("outputs", []):
            stored = objects.get((self._world.settings.outputs_bucket, output["key"]))
            if stored is None:
                self.found("I3", f"the output {output['key']} is not there")
            elif (hashlib.sha256(stored.content).hexdigest(), len(stored.content)) != (
                output["sha256"],
                output["bytes"],
            ):
                self.found("I3", f"the output {output['key']} is not what its job says")
            elif stored.content not in made:
                self.found("I3", f"the output {output['key']} is not what fal made for its job")

    def _judge_payment(self, job: dict[str, Any], requests: "list[Request]") -> None:
        for earlier, later in pairwise(requests):
            failed = earlier.outcome is not None and not earlier.outcome.succeeded
            over = earlier.completed_at is not None and earlier.completed_at <= later.submitted_at
            # An attempt's time begins with its claim, and its function has the lease to send it.
            if not (failed and over) and later.submitted_at - earlier.submitted_at < ATTEMPT - LEASE:
                self.found("I1", f"job {job['job_id']} was sent again while {earlier.id} lived")
        paid = [request for request in requests if request.outcome and request.outcome.units]
        if len(paid) > 1 and job.get("on_unknown") != "resubmit":
            self.found("I1", f"job {job['job_id']} was paid {len(paid)} times")
        # Whoever has a job sent again that may have been paid is told of the last request only.
        paid = [request for request in paid if job.get("on_unknown") != "resubmit" or request is requests[-1]]
        if paid and job["status"] != "succeeded" and not self._is_excused(job, paid[0]):
            why = (job.get("error") or {}).get("type")
            self.found("thrown away", f"job {job['job_id']} is {job['status']} ({why}), and {paid[0].id} was paid")

    def _is_excused(self, job: dict[str, Any], request: "Request") -> bool:
        """Whether the job could not know better: it settled before, by fal's own word, or no word of fal ever came."""
        way = self._world.fal.way(request)
        if job["status"] not in SETTLED:
            return True
        if is_given_up(self._world, job, request):
            return True
        if way in {"error_first", "contradicted"} and self._settled_from.get(job["job_id"]) != "storing":
            return True
        # Without a request's id nothing can be asked, and a delivery that is lost, or comes late, tells none.
        return not job.get("request") and (way in {"lost", "late"} or self._was_out_for_all_tries(request))

    def _was_out_for_all_tries(self, request: "Request") -> bool:
        """Whether something that every delivery needs was out from the first try of this one to the last."""
        tries = [attempt.at - self._world.began_at for one in request.deliveries for attempt in one.attempts]
        needed = ("dynamodb.get_item", "dynamodb.update_item", "fal.keys", "secretsmanager.get_secret_value")
        return bool(tries) and any(
            all(outage.hits(operation, at) for at in tries)
            for outage in self._world.scenario.outages
            for operation in needed
        )

    def _judge_log(self, log: str) -> None:
        canaries = {**self._world.canaries, "prompt": PROMPT, "signed URL": "X-Amz-Signature", "webhook URL": "&mac="}
        for name, canary in canaries.items():
            if canary in log:
                line = next(line for line in log.splitlines() if canary in line)
                self.found("I6", f"the {name} is in a log line: {line[:300]}")


def _is_to_be_asked(item: dict[str, Any], request_id: str) -> bool:
    """Whether a failed request is kept with its job so that the queue is asked why, or whether, it failed."""
    request = item.get("request", {}).get("M", {}).get("request_id", {}).get("S")
    return item.get("reason", {}).get("S") == "fal_error" or (
        request == request_id and item["status"]["S"] in {"accepted", "unconfirmed"}
    )


def _target(url: str) -> tuple[str, int]:
    """The job and the attempt that a webhook URL names."""
    match = re.search(r"/webhooks/fal/([0-9a-f]+)\?attempt=(\d+)", url)
    return (match[1], int(match[2])) if match else ("", 0)

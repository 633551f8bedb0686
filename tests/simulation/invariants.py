"""What must hold in every run: some of it watched at each step, the rest looked at when all is over."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer

from tests.simulation.arguments import judge_arguments
from tests.simulation.owners import judge_owners
from tests.simulation.payment import judge_payment
from tests.simulation.pictures import judge_outputs
from tests.simulation.promises import Promises
from tests.simulation.recovered import judge_recovered
from tests.simulation.scenarios import PRESETS, PROMPT
from tests.simulation.uploads import version_of

if TYPE_CHECKING:
    from local.fal.requests import Request
    from tests.simulation.world import World

SETTLED = frozenset({"succeeded", "failed", "cancelled"})
LEGAL = {
    "new": {"accepted", "submitting", "failed"},
    "accepted": {"submitting", "failed", "cancelled", "storing", "succeeded"},
    "submitting": {"queued", "accepted", "unconfirmed", "storing", "succeeded", "failed"},
    "unconfirmed": {"queued", "storing", "succeeded", "failed", "accepted"},
    "queued": {"storing", "succeeded", "failed", "cancelled", "accepted"},
    "storing": {"succeeded", "failed"},
    **{status: set() for status in SETTLED},
}
"""The moves that a job may make, as docs/api.md has them and not as the code under test has."""
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
        self._senders: dict[str, str] = {}
        self._sent: set[str] = set()
        self.queued_at: dict[str, float] = {}
        """When each job was first known to be at fal (Unix seconds)."""
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
        if status != was and status not in LEGAL[was]:
            self.found("I4", f"job {job_id} moved from {was} to {status}")
        if status != was and status == "submitting":
            self._senders[job_id] = process
        if status != was and status == "queued":
            self.queued_at.setdefault(job_id, self._world.clock.now())

    def sending(self, webhook_url: str) -> None:
        """A request is about to be sent."""
        self._sent.add(_target(webhook_url)[0])

    def settled_from(self, job_id: str) -> str | None:
        """The status that a settled job had before."""
        return self._settled_from.get(job_id)

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
            judge_outputs(world, job, requests.get(job_id, []))
            judge_payment(world, job, requests.get(job_id, []))
            judge_arguments(world, job, requests.get(job_id, []))
            judge_recovered(world, job, requests.get(job_id, []))
        judge_owners(world, jobs)
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
        sender = self._senders.get(job["job_id"], "")
        troubled = any(step[1] == sender and step[4].startswith(("crashed", "raise")) for step in world.trace)
        if not troubled and job["job_id"] not in self._sent:
            self.found("lost", f"job {job['job_id']} was given up as in doubt, and was never sent")

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

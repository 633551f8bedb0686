"""What must hold of uploads: each version is edited from its own bytes, or it costs nothing."""

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from shared.waiting import ACCEPTANCE

if TYPE_CHECKING:
    from local.fal.requests import Request
    from tests.simulation.uploads import Put
    from tests.simulation.world import World

Found = Callable[[str, str], None]
OVERWRITTEN = "upload_superseded"
EMPTIED = "not_an_image"
"""How a job fails whose bytes are gone: S3 has no ETag for the first bytes of an object that has none."""

IN_DOUBT = {"no_word_from_fal", "reply_lost"}
"""How a job fails whose function ended before it could look."""


class Versions:
    """Judges the jobs of all uploads of a run."""

    def __init__(self, world: "World", found: Found) -> None:
        self._world = world
        self._found = found
        self._looks: defaultdict[str, list[float]] = defaultdict(list)
        for after, _, operation, subject, _ in world.trace:
            if operation == "s3.get_object":
                self._looks[subject].append(world.began_at + after)

    def judge(self, job: dict[str, Any], requests: "list[Request]") -> None:
        """Judge one job, and its requests."""
        if not (upload := job.get("upload")):
            return
        of_key = [put for put in self._world.uploads.made if put.key == upload["key"]]
        version = upload["version"].partition(":")[0]
        before = len(list(takewhile(lambda put: put.version != version, of_key)))
        own, later = of_key[before], of_key[before + 1 :]
        if not own.content:
            self._found("I11", f"job {job['job_id']} was made of an upload without a byte")
        for request in requests:
            self._judge_request(request, own, later)
        is_kept = self._world.scenario.versioned or not later
        kind = (job.get("error") or {}).get("type")
        if kind in {"upload_gone", OVERWRITTEN} and is_kept:
            self._found("I9", f"job {job['job_id']} failed with {kind}, and its version is there")
        if not is_kept and later[0].at < seconds(job["created_at"]):
            self._judge_overwritten(job, requests, is_emptied=any(not put.content for put in later))

    def _judge_request(self, request: "Request", own: "Put", later: list["Put"]) -> None:
        """A request edits the version that its event named, and nothing that was put in its place."""
        looks = [at for at in self._looks[own.key] if at <= request.submitted_at]
        looked = max(looks, default=self._world.began_at)
        # Without versions an object may be overwritten between our look and fal's.
        slipped = any(looked <= put.at <= request.submitted_at for put in later)
        is_own = self._world.fal.edited[request.order] == own.content
        if not is_own and (self._world.scenario.versioned or not slipped):
            self._found("I9", f"{request.id} edits another version than {own.version} of {own.key}")

    def _judge_overwritten(self, job: dict[str, Any], requests: "list[Request]", *, is_emptied: bool) -> None:
        """A job whose bytes were gone before it was made ends unpaid, and says so."""
        kind = (job.get("error") or {}).get("type")
        if requests or job["status"] != "failed":
            self._found("I11", f"job {job['job_id']} is {job['status']}, and its bytes were gone before it was made")
            return
        said = {OVERWRITTEN, *IN_DOUBT, *([EMPTIED] if is_emptied else [])}
        if kind not in said and seconds(job["settled_at"]) - seconds(job["created_at"]) < ACCEPTANCE:
            self._found("I11", f"job {job['job_id']} failed with {kind}, and its bytes were overwritten")


def seconds(moment: str) -> float:
    """A moment of a row, in Unix seconds."""
    return datetime.fromisoformat(moment).timestamp()

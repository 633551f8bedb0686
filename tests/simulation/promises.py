"""What a run must also keep: the version that is edited, when fal is asked, how soon jobs end, what is counted."""

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from shared.completion import NOT_STARTED
from shared.storing import PATIENCE
from shared.waiting import ACCEPTANCE, HOUR
from tests.simulation.bodies import judge_body
from tests.simulation.faults import FixedPlan
from tests.simulation.places import FOR_A_DAY, judge_alarm, judge_kept, lacks_pictures
from tests.simulation.scenarios import BREAKS_FAL, SEEMS_LOCKED, TROUBLES, Post
from tests.simulation.strangers import judge_strangers
from tests.simulation.versions import Versions, seconds

if TYPE_CHECKING:
    from local.fal.requests import Request
    from tests.simulation.invariants import Watch
    from tests.simulation.world import World

PAUSED_AFTER = 60
"""The seconds after which a pause holds for every container."""
PROMPTLY = 2 * HOUR
"""How soon after fal's last word a job ends where nothing else goes wrong."""
IN_TIME = 900
"""How soon a good job ends among refused ones, in seconds after the account is open."""
THROTTLES = frozenset({"status429", "wait600", "wait_until"})

Jobs = dict[str, dict[str, Any]]
Requests = dict[str, "list[Request]"]


class Promises:
    """Watches what is sent and counted, and judges the end."""

    def __init__(self, world: "World", watch: "Watch") -> None:
        self._world = world
        self._watch = watch
        self.counts: Counter[str] = Counter()

    def sending(self, process: str, not_before: float) -> None:
        """A container is about to send a request to fal."""
        after = self._world.clock.now() - self._world.began_at
        if self._world.clock.now() < not_before:
            self._watch.found("I9", f"{process} sends before the time that fal has named to it")
        if self._world.scenario.paused:
            at, until = self._world.scenario.paused
            if at + PAUSED_AFTER < after < until:
                self._watch.found("I9", f"{process} sends {after - at:.0f} s after the pause")

    def judge(self, jobs: Jobs, requests: Requests, log: str) -> None:
        """Judge the whole run."""
        versions = Versions(self._world, self._watch.found)
        if self.counts["UploadUnmatched"]:
            self._watch.found("I9", "an upload that presets name is counted as one that none does")
        is_plain = self._is_plain()
        for job_id, job in jobs.items():
            versions.judge(job, requests.get(job_id, []))
            self._judge_end(job, requests.get(job_id, []))
            self._judge_images(job)
            judge_kept(job, requests.get(job_id, []), self._world, self._watch.found)
            if is_plain:
                self._judge_promptness(job, requests.get(job_id, []))
        if "breaker opened" in log and self._faults("fal.submit") <= THROTTLES and not self._refusals():
            self._watch.found("I9", "a throttle is taken for a lock")
        if self._refusals() and self._world.plan == FixedPlan():
            self._judge_neighbours(jobs)
            opened = [line for line in log.splitlines() if "breaker opened" in line]
            if not self._world.scenario.outages and any('"locked":"*"' in line for line in opened):
                self._watch.found("I9", "everybody is locked for one owner's trouble")
        if is_plain:
            self._judge_counts(jobs, requests)
            judge_alarm(self._world, self._watch.found)
        judge_strangers(self._world, jobs, self._watch.found)
        for client in self._world.clients:
            judge_body(client, self._watch.found)

    def _judge_end(self, job: dict[str, Any], requests: "list[Request]") -> None:
        """A job whose time is not over fails for what fal or S3 said of it, and not for what will pass."""
        kind = (job.get("error") or {}).get("type")
        if job["status"] != "failed":
            return
        lived = seconds(job["settled_at"]) - seconds(job["created_at"])
        last = requests[-1].outcome if requests else None
        never_began = kind in NOT_STARTED or (kind == "fal_error" and last and last.error_type in NOT_STARTED)
        if never_began and lived < ACCEPTANCE:
            self._watch.found("I9", f"job {job['job_id']} failed with {kind} after {lived:.0f} s: fal never began it")
        if kind == "paused" and self._world.scenario.paused and self._world.scenario.paused[1] < ACCEPTANCE:
            self._watch.found("I9", f"job {job['job_id']} failed although the pause had ended")
        stored_for = seconds(job["settled_at"]) - seconds(job["attempt_at"])
        if kind == "output_host_not_allowed" and stored_for < PATIENCE:
            self._watch.found("I9", f"job {job['job_id']} waited {stored_for:.0f} s only for its host")

    def _judge_images(self, job: dict[str, Any]) -> None:
        asked_for = json.loads(job.get("arguments_json", "{}")).get("num_images", 1)
        if len(job.get("outputs", [])) > asked_for:
            self._watch.found("I3", f"job {job['job_id']} has more outputs than it asked for")

    def _judge_promptness(self, job: dict[str, Any], requests: "list[Request]") -> None:
        """Where nothing goes wrong on the way, a job ends soon after fal's last word about it."""
        last = requests[-1].completed_at if requests and not self._world.scenario.paused else None
        if (
            last is None
            or job["status"] not in {"succeeded", "failed"}
            or self._world.fal.fate(requests[-1]) in FOR_A_DAY
        ):
            return
        if (late := seconds(job["settled_at"]) - last) > PROMPTLY:
            self._watch.found("I9", f"job {job['job_id']} was settled {late:.0f} s after fal's word")

    def _judge_neighbours(self, jobs: Jobs) -> None:
        """Who is refused for what it asks for is told so at once, and holds up nobody else."""
        ends = [self._world.began_at + outage.at + outage.seconds for outage in self._world.scenario.outages]
        for job in jobs.values():
            if SEEMS_LOCKED in job["arguments_json"] or BREAKS_FAL in job["arguments_json"]:
                continue
            late = seconds(job["settled_at"]) - max([seconds(job["created_at"]), *ends])
            if late > IN_TIME:
                self._watch.found("I9", f"job {job['job_id']} was held up for {late:.0f} s by what fal refuses")

    def _judge_counts(self, jobs: Jobs, requests: Requests) -> None:
        """Each job whose picture was paid and is not stored is counted once."""
        lost = [job_id for job_id, job in jobs.items() if lacks_pictures(job, requests.get(job_id, []))]
        if (counted := self.counts["PaidResultLost"]) != len(lost):
            self._watch.found("I10", f"{len(lost)} paid pictures are lost, and {counted} are counted")

    def _refusals(self) -> bool:
        posts = [one for one in self._world.scenario.submissions if isinstance(one, Post)]
        return any(why in post.fields["prompt"] for post in posts for why in TROUBLES)

    def _faults(self, operation: str) -> set[str]:
        """The kinds of faults that happened at calls of a kind."""
        steps = (step for step in self._world.trace if step[2].startswith(operation))
        return {step[4].removeprefix("! ") for step in steps if step[4].startswith("! ")}

    def _is_plain(self) -> bool:
        """Whether nothing went wrong at any call."""
        return not self._faults("") and not any(step[4].startswith(("crashed", "raise")) for step in self._world.trace)

"""How many jobs an owner may have under way: a bound on what one caller can put before all others."""

from collections.abc import Callable

from shared.errors import TooManyOpenJobsError
from shared.job_indexes import JobIndexes

FREE_SHARE = 20
"""The part (one in so many) of the bound that a container lets an owner post before it counts."""
COUNT_SHARE = 10
"""The part of the room that a container lets an owner fill before it counts again: other containers fill it too."""
LEAST_SHARE = 200
"""The part of the bound that it lets an owner post at least, since counting costs some reads for each hundred jobs."""
REFUSE_SECONDS = 30
"""How long a container refuses an owner whose jobs it has counted, before it counts again."""


class OpenJobs:
    """Admits posted jobs while their owner has fewer than `most` under way; 0 admits all.

    A container counts seldom: a tenth of the jobs that there was room for may follow before it counts again. So several
    containers together may admit some more than `most`. Jobs of uploads are not counted, and none is refused.
    """

    def __init__(self, indexes: JobIndexes, most: int, now: Callable[[], float]) -> None:
        self._indexes = indexes
        self._most = most
        self._now = now
        self._room: dict[str, int] = {}
        self._full_until: dict[str, float] = {}

    def admit(self, owner: str) -> None:
        """Let an owner make one more job.

        Raises:
            TooManyOpenJobsError: too many are under way.
        """
        if not self._most:
            return
        room = self._room.get(owner, self._most // FREE_SHARE)
        if room <= 0:
            room = self._count_room(owner)
        self._room[owner] = room - 1

    def _count_room(self, owner: str) -> int:
        now = self._now()
        if self._full_until.get(owner, now) <= now:
            room = self._most - self._indexes.count_posted(owner, self._most)
            if room > 0:
                return max(room // COUNT_SHARE, self._most // LEAST_SHARE, 1)
            self._full_until[owner] = now + REFUSE_SECONDS
        raise TooManyOpenJobsError(self._most, REFUSE_SECONDS)

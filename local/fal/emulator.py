"""The emulator: its parts put together behind one WSGI callable."""

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

from werkzeug.wrappers import Request as Call

from local.fal.app import respond
from local.fal.chaos import Chaos, ChaosPlan
from local.fal.deliveries import Courier, Deliver, post_webhook
from local.fal.files import FileStore
from local.fal.inputs import Fetch, InputLoader, make_fetch
from local.fal.keys import SigningKeys
from local.fal.queueing import Queue
from local.fal.runner import Runner
from local.fal.schedule import Clock, ManualClock, Schedule, SystemClock, Workers
from local.fal.scripts import Script
from local.fal.settings import EmulatorSettings
from local.fal.uploads import UploadDesk

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

LOCKED_STATUS = 403


class Emulator:
    """fal as a WSGI application.

    With a ManualClock nothing happens but on the calling thread, in `run_due` and `advance`. With the machine's clock
    `start` sets it going, and `threads` of its own paint and deliver.
    """

    def __init__(  # noqa: PLR0913 - what it is wired of
        self,
        settings: EmulatorSettings | None = None,
        *,
        clock: Clock | None = None,
        deliver: Deliver = post_webhook,
        fetch: Fetch | None = None,
        schedule: Schedule | None = None,
        threads: int = 0,
    ) -> None:
        self.settings = EmulatorSettings() if settings is None else settings.model_copy()
        self._at_start = self.settings.model_copy()
        self.clock: Clock = SystemClock() if clock is None else clock
        self.scripts: deque[Script] = deque()
        self.chaos = Chaos()
        self._lock = (LOCKED_STATUS, 0.0)
        self.files = FileStore(self.clock)
        self.uploads = UploadDesk()
        self.keys = SigningKeys(self.settings, self.clock)
        self._workers = Workers(threads)
        self.schedule = Schedule(self.clock, self._workers) if schedule is None else schedule
        inputs = InputLoader(self.settings, self.files, make_fetch(self.settings) if fetch is None else fetch)
        self.queue = Queue(
            self.settings,
            self.schedule,
            self._workers,
            Runner(self.settings, self.files, inputs),
            Courier(self.settings, self.schedule, self._workers, self.keys, deliver),
        )

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one call, as WSGI has it."""
        return respond(self, Call(environ))(environ, start_response)

    def run_due(self) -> int:
        """Do all that is due now and say how many things that were."""
        return self.schedule.run_due()

    def advance(self, seconds: float) -> None:
        """Let time pass, doing each thing when its time comes."""
        self.schedule.advance(seconds)

    def add_scripts(self, *scripts: Script) -> None:
        """Put scripts at the end of the line; each submit takes the next."""
        self.scripts.extend(scripts)

    def take_script(self) -> Script:
        """Take the next script, or that of a rule that applies, or one that changes nothing."""
        try:
            return self.scripts.popleft()
        except IndexError:
            return self.chaos.next_script()

    def account_refusal(self) -> int | None:
        """Say with which status the account's submits are refused now, if they are."""
        if self.settings.locked:
            return LOCKED_STATUS
        status, ends_at = self._lock
        return status if self.clock.now() < ends_at else self.settings.refuse_submits

    def lock(self, seconds: float, status: int = LOCKED_STATUS) -> None:
        """Refuse every submit for so long, with 401, 402 or 403."""
        self._lock = (status, self.clock.now() + seconds)

    def change_settings(self, changes: dict[str, object]) -> None:
        """Set some settings, all or none.

        Raises:
            pydantic.ValidationError: one of them is unknown or wrong.
        """
        wanted = EmulatorSettings.model_validate(self.settings.model_dump() | changes)
        for name in changes:
            setattr(self.settings, name, getattr(wanted, name))
        self.queue.wake()

    def keep_settings(self) -> None:
        """Take the settings as they are for those of the start."""
        self._at_start = self.settings.model_copy()

    def reset(self) -> None:
        """Forget requests, scripts, rules and files, and return to the settings of the start."""
        self.change_settings(self._at_start.model_dump())
        self.schedule.clear()
        self.queue.clear()
        self.scripts.clear()
        self.chaos.follow(ChaosPlan())
        self._lock = (LOCKED_STATUS, 0.0)
        self.files.clear()
        self.uploads.clear()
        self.keys.reset()

    def start(self) -> None:
        """Run what falls due on a thread, as the machine's clock reaches it."""
        if isinstance(self.clock, ManualClock):
            raise TypeError("a clock that stands still needs no thread")
        self.schedule.start()

    def stop(self) -> None:
        """End the threads."""
        self.schedule.stop()
        self._workers.close()

"""A gate before fal: it counts the submissions, and answers those that the test says."""

from collections.abc import Callable
from typing import Any

import httpx

from local.fal import EmulatorTransport
from tests.conftest import Context

Answer = Callable[[httpx.Request], httpx.Response | None]
LOCK = {"detail": "User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing."}


class Gate(httpx.BaseTransport):
    """Answers a POST with what `answer` gives, and lets fal answer where that is None, as it does all else.

    `answers`: the statuses of all POSTs, and `times`: when they came, in seconds of the system's clock.
    """

    def __init__(self, system: Any, answer: Answer = lambda _: None) -> None:
        self._fal = EmulatorTransport(system.fal)
        self._clock = system.fal.clock
        self.answer = answer
        self.answers: list[int] = []
        self.times: list[float] = []
        system.app.http = httpx.Client(transport=self)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a call."""
        if request.method != "POST":
            return self._fal.handle_request(request)
        self.times.append(self._clock.now())
        answer = self.answer(request) or self._fal.handle_request(request)
        self.answers.append(answer.status_code)
        return answer

    @property
    def accepted(self) -> list[float]:
        """When POSTs were accepted."""
        return [at for at, status in zip(self.times, self.answers, strict=True) if status < 300]


class Ticking(Context):
    """Lambda's context in which time passes by the system's clock."""

    def __init__(self, system: Any, seconds: float) -> None:
        super().__init__()
        self._clock = system.fal.clock
        self._end = self._clock.now() + seconds

    def get_remaining_time_in_millis(self) -> int:
        """Say how long the function has yet."""
        return int((self._end - self._clock.now()) * 1000)

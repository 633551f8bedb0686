"""What several tests of the flow put in fal's place."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest


@pytest.fixture
def queue_says(system: Any) -> Callable[..., None]:
    """Has the queue answer status and result of every request so, until told otherwise; None leaves it to fal."""
    really = system.app.fal._http.request  # noqa: SLF001 - the wire
    answers: dict[str, httpx.Response | Exception | None] = {}

    def request(method: str, url: Any, **more: Any) -> httpx.Response:
        kind = "status" if str(url).endswith("/status") else "result"
        answer = answers.get(kind)
        if isinstance(answer, Exception):
            raise answer
        return answer or really(method, url, **more)

    system.app.fal._http.request = request  # noqa: SLF001 - the same

    def say(status: Any = None, result: Any = None) -> None:
        answers["status"] = httpx.Response(200, json=status) if isinstance(status, dict) else status
        answers["result"] = result

    return say

"""A key server and processes that verify with its keys."""

import threading
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.shared.signing_keys import OLD, Clock, KeyServer, Process, Shelf, http_answer, jwks


@pytest.fixture
def server() -> Iterator[KeyServer]:
    """A key server on this machine."""
    with KeyServer() as running:
        running.tell(http_answer(jwks(OLD)))
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def clock() -> Clock:
    """The clock of every process."""
    return Clock()


@pytest.fixture
def shelf() -> Shelf:
    """The place outside the processes."""
    return Shelf()


@pytest.fixture
def start(server: KeyServer, clock: Clock, shelf: Shelf) -> Iterator[Callable[[], Process]]:
    """Starts a process that knows no keys."""
    with httpx.Client(trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)) as http:
        yield lambda: Process(server.url, clock, shelf, http)

"""Downloads from real hosts on loopback that fail in every way a host can: nothing is stored, and it ends in time."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import httpx
import pytest

from local.fal.certificate import make_certificate
from shared.app import fal_http
from shared.downloads import Download, Downloads
from shared.errors import OutputRefusedError, OutputUnavailableError, OutputUnfitError
from tests.shared.hosts import FileHost, Say

PHOTO = (Path(__file__).parent.parent.parent / "events" / "photos" / "rocket.jpg").read_bytes()
MAX_BYTES = 1_000_000
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
LENGTH = OK + b"Content-Length: %d\r\n\r\n" % len(PHOTO)


def fetch(host: FileHost, deadline: float, trusted: Path | None = None) -> Download:
    """Fetch from a host that the operator lists, as one on loopback must be."""
    origin = f"http://127.0.0.1:{host.port}" if trusted is None else f"https://localhost:{host.port}"
    context = ssl.create_default_context(cafile=trusted)
    with httpx.Client(trust_env=False, verify=context) as http:
        return Downloads(http, (origin,), MAX_BYTES).fetch(f"{origin}/a.jpg", deadline)


def sends(*parts: bytes) -> Say:
    """Say this and close."""
    return lambda connection: connection.sendall(b"".join(parts))


def test_a_picture_arrives_over_a_real_connection() -> None:
    """With its length or in chunks, down to the last byte; what follows the promised length is not read."""
    chunks = b"%x\r\n%b\r\n1;%b\r\n%b\r\n0\r\n\r\n" % (len(PHOTO) - 1, PHOTO[:-1], b"x" * 1000, PHOTO[-1:])
    for answer in (LENGTH + PHOTO, CHUNKED + chunks, LENGTH + PHOTO + b"<script>" * 1000):
        with FileHost(sends(answer)) as host, fetch(host, time.monotonic() + 10) as download:
            assert download.file.read() == PHOTO
            assert b"accept-encoding: identity\r\nconnection: close\r\n" in host.requests[0].lower()


def test_a_hosts_cookies_are_not_kept() -> None:
    """Nothing that a file host sends stays with the client, nor is sent anywhere."""
    answer = LENGTH.replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=b; Path=/\r\n\r\n") + PHOTO
    with FileHost(sends(answer)) as host, fal_http() as http:
        origin = f"http://127.0.0.1:{host.port}"
        for _ in range(2):
            Downloads(http, (origin,)).fetch(f"{origin}/a.jpg", time.monotonic() + 10).file.close()
        assert len(http.cookies.jar) == 0
        assert b"cookie" not in host.requests[1].lower()


def length(value: bytes, more: bytes = b"") -> bytes:
    """An answer that promises so many bytes."""
    return OK + b"Content-Length: " + value + b"\r\n" + more + b"\r\n" + PHOTO


UNAVAILABLE = {
    "nothing": b"",
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "HTTP/0.9": PHOTO,
    "half a head": OK + b"Content-Le",
    "short": LENGTH + PHOTO[:-1],
    "no body": LENGTH,
    "a chunk too few": CHUNKED + b"%x\r\n%b\r\n" % (len(PHOTO), PHOTO),
    "half a chunk": CHUNKED + b"fffff\r\n" + PHOTO,
    "a chunk beyond all size": CHUNKED + b"f" * 20 + b"\r\n" + PHOTO,
    "a chunk with no number": CHUNKED + b"f" * 21 + b"\r\n" + PHOTO,
    "a chunk of negative size": CHUNKED + b"-5\r\n" + PHOTO,
    "no length": OK + b"\r\n" + PHOTO,
    "no length in HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\n" + PHOTO,
    "odd length": length(b"many"),
    "negative length": length(b"-1"),
    "length of 5000 digits": length(b"9" * 5000),
    "two lengths": length(b"%d" % len(PHOTO), b"Content-Length: 5\r\n"),
    "packed on the way": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + PHOTO,
    "flood of headers": OK + b"".join(b"X-%d: %b\r\n" % (index, b"x" * 100) for index in range(5000)),
    "one endless header": OK + b"X: " + b"x" * 500_000,
    "too long a reason": b"HTTP/1.1 200 " + b"O" * 500_000,
    "flood of trailers": CHUNKED + b"%x\r\n%b\r\n0\r\n" % (len(PHOTO), PHOTO) + b"X: x\r\n" * 50_000,
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n" + PHOTO,
    **{
        f"status {status}": b"HTTP/1.1 %d No\r\nContent-Length: %d\r\n\r\n" % (status, len(PHOTO)) + PHOTO
        for status in (201, 203, 206, 400, 401, 403, 404, 410, 416, 429, 451, 500, 502, 503, 504, 599)
    },
    "status 204": b"HTTP/1.1 204 No Content\r\n\r\n",
}


@pytest.mark.parametrize("answer", UNAVAILABLE.values(), ids=UNAVAILABLE)
def test_what_may_get_better_is_unavailable(answer: bytes) -> None:
    """Broken answers, cut ones, ones that may be cut, and every status but 200 are worth another try."""
    with FileHost(sends(answer)) as host, pytest.raises(OutputUnavailableError):
        fetch(host, time.monotonic() + 10)


REFUSED = {
    "empty": OK + b"Content-Length: 0\r\n\r\n",
    "shorter than a picture": OK + b"Content-Length: 10\r\n\r\n" + PHOTO,
    "larger than allowed": OK + b"Content-Length: 1000001\r\n\r\n" + PHOTO,
    "larger than anything": length(b"9" * 20),
    "larger than allowed, in chunks": CHUNKED + b"fffffff\r\n" + PHOTO * 20,
    "packed": OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(PHOTO) + PHOTO,
    "packed twice": OK + b"Content-Encoding: identity\r\nContent-Encoding: br\r\nContent-Length: 1\r\n\r\nx",
}


@pytest.mark.parametrize("answer", REFUSED.values(), ids=REFUSED)
def test_what_stays_bad_is_refused(answer: bytes) -> None:
    """What the host says in full and may not be stored."""
    with FileHost(sends(answer)) as host, pytest.raises((OutputRefusedError, OutputUnfitError)):
        fetch(host, time.monotonic() + 10)


@pytest.mark.parametrize("start", [CHUNKED, OK + b"Content-Length: 99999999999\r\n\r\n"], ids=["chunked", "promised"])
def test_an_endless_answer_is_left(start: bytes) -> None:
    """The host can send no more than its connection holds: we are gone."""

    def endless(connection: socket.socket) -> None:
        connection.sendall(start)
        while True:  # until the connection breaks
            connection.sendall(b"3e8\r\n" + b"\xff\xd8\xff\xe0" * 250 + b"\r\n")

    with FileHost(endless) as host, pytest.raises(OutputRefusedError, match="larger than 1000000 bytes"):
        fetch(host, time.monotonic() + 60)


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "to", ["{}/b.jpg", "https://169.254.169.254/latest/meta-data/", "//evil.example/", "/b.jpg", ""]
)
def test_a_redirect_is_not_followed(status: int, to: str) -> None:
    """Neither elsewhere nor to the same host; it is asked once."""

    def moved(connection: socket.socket) -> None:
        location = to.format(f"http://127.0.0.1:{host.port}").encode()
        connection.sendall(b"HTTP/1.1 %d Moved\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % (status, location))

    with FileHost(moved) as host:
        with pytest.raises(OutputRefusedError, match="redirects"):
            fetch(host, time.monotonic() + 10)
        assert host.connections == 1


def pieces(content: bytes) -> list[bytes]:
    """Byte by byte."""
    return [content[index : index + 1] for index in range(len(content))]


NOTHING = [b""] * 500
SLOW: dict[str, tuple[bytes, list[bytes]]] = {
    "silent": (b"", NOTHING),
    "silent after the head": (LENGTH, NOTHING),
    "silent in the picture": (LENGTH + PHOTO[:1000], NOTHING),
    "a byte at a time": (b"", pieces(OK + b"X: " + b"x" * 500)),
    "a header at a time": (OK, [b"X: x\r\n"] * 500),
    "a notice at a time": (b"", [b"HTTP/1.1 103 Early Hints\r\n\r\n"] * 500),
    "a byte of the picture at a time": (LENGTH, pieces(PHOTO[:500])),
    "a chunk at a time": (CHUNKED, [b"1\r\n%b\r\n" % byte for byte in pieces(PHOTO[:500])]),
    "a byte of a chunk's extension at a time": (CHUNKED + b"f;", pieces(b"x" * 500)),
    "a trailer at a time": (CHUNKED + b"%x\r\n%b\r\n0\r\n" % (len(PHOTO), PHOTO), [b"X: x\r\n"] * 500),
}


@pytest.mark.parametrize("secure", [False, pytest.param(True, marks=pytest.mark.long)], ids=["http", "https"])
@pytest.mark.parametrize(("at_once", "then"), SLOW.values(), ids=SLOW)
def test_a_slow_host_is_left_at_the_deadline(
    at_once: bytes, then: Iterable[bytes], tmp_path: Path, *, secure: bool
) -> None:
    """Each byte is in time and all of them are not: we go in the midst of the answer, whatever part the host is at."""
    told: list[str] = []
    over = threading.Event()

    def trickle(connection: socket.socket) -> None:
        try:
            connection.sendall(at_once)
            connection.settimeout(0.02)
            for piece in then:
                connection.sendall(piece)
                # Who only listens has nothing to send; the end of it is that they are gone.
                with contextlib.suppress(TimeoutError):
                    connection.recv(1)
                    return
            told.append("all")
        finally:
            over.set()

    context, trusted = make_certificate(tmp_path, "localhost")
    with FileHost(trickle, context if secure else None) as host:
        with pytest.raises(OutputUnavailableError, match="too slow"):
            # Time enough to be connected on a busy machine, and a tenth of what the host takes.
            fetch(host, time.monotonic() + 1, trusted if secure else None)
        assert over.wait(60)
        assert told == []


def hang(connection: socket.socket) -> None:
    """Say nothing until the other side goes."""
    connection.recv(1)


def test_a_host_that_never_shakes_hands_is_left(tmp_path: Path) -> None:
    """TLS has its time too, and a host that takes the connection and says nothing does not keep us."""
    _, trusted = make_certificate(tmp_path, "localhost")
    with FileHost(hang) as host:
        with pytest.raises(OutputUnavailableError):
            fetch(host, time.monotonic() + 0.3, trusted)
        assert host.connections == 1


def test_no_time_is_no_connection() -> None:
    """Past the deadline nobody is asked."""
    with FileHost(sends(LENGTH + PHOTO)) as host:
        with pytest.raises(OutputUnavailableError, match="too slow"):
            fetch(host, time.monotonic() - 1)
        assert host.connections == 0


def closed_port() -> int:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def test_a_host_that_is_down_is_unavailable() -> None:
    """A refused connection is worth another try."""
    origin = f"http://127.0.0.1:{closed_port()}"
    with httpx.Client(trust_env=False) as http, pytest.raises(OutputUnavailableError, match="ConnectError"):
        Downloads(http, (origin,)).fetch(f"{origin}/a.jpg", time.monotonic() + 10)

"""fal's names lead to public addresses only, and the connection goes to the address that was judged."""

import ssl
import time
from pathlib import Path

import httpx
import pytest

from local.fal.certificate import make_certificate
from shared.downloads import Download, Downloads
from shared.errors import OutputRefusedError, OutputUnavailableError
from shared.public_addresses import LookUp
from tests.shared.hosts import PUBLIC, FileHost, Internet
from tests.shared.test_public_addresses import PRIVATE

PHOTO = (Path(__file__).parent.parent.parent / "events" / "photos" / "rocket.jpg").read_bytes()
HOST = "v3.fal.media"
OTHER = "2606:4700::6810:84e5"
NAMES = (HOST, "fal.media", "a.b.fal.media", "a.wild.example")
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(PHOTO) + PHOTO


def secure_host(directory: Path, name: str) -> tuple[FileHost, Path, list[str | None]]:
    """A host with a certificate for `name`, the file that clients trust, and the names that it is asked for in TLS."""
    context, trusted = make_certificate(directory, name)
    asked: list[str | None] = []

    def note(_: object, server_name: str | None, __: object) -> None:
        asked.append(server_name)

    context.sni_callback = note
    return FileHost(lambda connection: connection.sendall(ANSWER), context), trusted, asked


def fetch(ask: LookUp, trusted: Path, url: str = f"https://{HOST}/files/a.jpg?b=c") -> Download:
    """Fetch with a resolver of the test's own."""
    with httpx.Client(trust_env=False, verify=ssl.create_default_context(cafile=trusted)) as http:
        return Downloads(http, ("*.wild.example",), ask=ask).fetch(url, time.monotonic() + 10)


class Resolver:
    """Answers each question with the next answer, the last one ever after."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, name: str) -> list[str]:
        """Answer, perhaps otherwise than before."""
        self.asked.append(name)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


def test_the_connection_goes_to_the_judged_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that changes its answer changes nothing: it is asked for once, and the host is called by its name."""
    host, trusted, server_names = secure_host(tmp_path, HOST)
    with host:
        internet = Internet(monkeypatch, {PUBLIC: host.port})
        resolver = Resolver([PUBLIC], ["127.0.0.1"])
        with fetch(resolver, trusted) as download:
            assert download.file.read() == PHOTO
        assert (resolver.asked, internet.asked, server_names) == ([HOST], [(PUBLIC, 443)], [HOST])
        assert host.requests[0].startswith(b"GET /files/a.jpg?b=c HTTP/1.1\r\nHost: v3.fal.media\r\n")


@pytest.mark.parametrize("name", ["v3b.fal.media", "evil.example", PUBLIC, "fal.media.evil.example"])
def test_a_certificate_for_another_name_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one for the address itself: nothing is asked of a host that cannot show that it is the one."""
    host, trusted, server_names = secure_host(tmp_path, name)
    with host:
        Internet(monkeypatch, {PUBLIC: host.port})
        with pytest.raises(OutputUnavailableError, match="ConnectError"):
            fetch(Resolver([PUBLIC]), trusted)
        assert (server_names, host.requests) == ([HOST], [])


def test_a_certificate_that_nobody_signed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The right name is not enough."""
    host, _, _ = secure_host(tmp_path, HOST)
    (tmp_path / "other").mkdir()
    _, other = make_certificate(tmp_path / "other", HOST)
    with host:
        Internet(monkeypatch, {PUBLIC: host.port})
        with pytest.raises(OutputUnavailableError, match="ConnectError"):
            fetch(Resolver([PUBLIC]), other)
        assert host.requests == []


@pytest.mark.parametrize("addresses", [["{}"], [PUBLIC, "{}"], ["{}", PUBLIC, OTHER]], ids=["alone", "last", "first"])
def test_a_private_address_is_refused(addresses: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any address that is not public, alone or among public ones, of fal's names and a wildcard's: nobody is asked.

    A name of fal's stays fal's where the operator lists it once more.
    """
    host, trusted, _ = secure_host(tmp_path, HOST)
    with host:
        internet = Internet(monkeypatch, dict.fromkeys((PUBLIC, OTHER, *PRIVATE), host.port))
        with httpx.Client(trust_env=False, verify=ssl.create_default_context(cafile=trusted)) as http:
            for private in (*PRIVATE, "nonsense", "", "2130706433"):
                resolver = Resolver([address.format(private) for address in addresses])
                for name in NAMES:
                    downloads = Downloads(http, ("*.wild.example", HOST), ask=resolver)
                    with pytest.raises(OutputRefusedError, match="not public"):
                        downloads.fetch(f"https://{name}/a.jpg", time.monotonic() + 10)
                assert resolver.asked == list(NAMES)
        assert (internet.asked, host.connections) == ([], 0)


def test_a_name_that_has_no_address_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer, an empty one or a resolver that fails are worth another try."""
    _, trusted = make_certificate(tmp_path, HOST)
    internet = Internet(monkeypatch, {})

    def fail(name: str) -> list[str]:
        raise OSError(f"no address for {name}")

    for ask in (fail, Resolver([])):
        with pytest.raises(OutputUnavailableError, match="no address"):
            fetch(ask, trusted)
    assert internet.asked == []


def test_the_next_address_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one address cannot be reached, as IPv6 from a network without it, the host's others are."""
    host, trusted, server_names = secure_host(tmp_path, HOST)
    with host:
        internet = Internet(monkeypatch, {PUBLIC: host.port})
        fetch(Resolver([OTHER, "1.1.1.1", PUBLIC]), trusted).file.close()
        assert internet.asked == [(OTHER, 443), ("1.1.1.1", 443), (PUBLIC, 443)]
        assert server_names == [HOST]
        with pytest.raises(OutputUnavailableError, match="ConnectError"):
            fetch(Resolver([OTHER, "1.1.1.1"]), trusted)
        assert len(internet.asked) == 5


def test_only_what_cannot_be_reached_has_a_next_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer is an answer, even a bad one: the host is not asked again elsewhere."""
    context, trusted = make_certificate(tmp_path, HOST)
    with FileHost(lambda connection: connection.sendall(ANSWER[:-1]), context) as host:
        internet = Internet(monkeypatch, {PUBLIC: host.port, OTHER: host.port})
        with pytest.raises(OutputUnavailableError, match="RemoteProtocolError"):
            fetch(Resolver([PUBLIC, OTHER]), trusted)
        assert internet.asked == [(PUBLIC, 443)]


def test_two_names_at_one_address_share_no_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each name is proven by a certificate of its own, also where a client keeps its connections."""
    host, trusted, server_names = secure_host(tmp_path, "*.fal.media")
    with host, httpx.Client(trust_env=False, verify=ssl.create_default_context(cafile=trusted)) as http:
        Internet(monkeypatch, {PUBLIC: host.port})
        downloads = Downloads(http, (), ask=Resolver([PUBLIC]))
        for name in ("a.fal.media", "b.fal.media"):
            downloads.fetch(f"https://{name}/a.jpg", time.monotonic() + 10).file.close()
        assert server_names == ["a.fal.media", "b.fal.media"]


def test_the_operators_own_host_may_be_private(tmp_path: Path) -> None:
    """What the operator lists by its name is connected to as it is, by the system's own resolver."""
    host, trusted, server_names = secure_host(tmp_path, "localhost")
    context = ssl.create_default_context(cafile=trusted)
    with host, httpx.Client(trust_env=False, verify=context) as http:
        origin = f"https://localhost:{host.port}"
        resolver = Resolver([])
        Downloads(http, (origin,), ask=resolver).fetch(f"{origin}/a.jpg", time.monotonic() + 10).file.close()
        assert (resolver.asked, server_names) == ([], ["localhost"])
        assert f"\r\nHost: localhost:{host.port}\r\n".encode() in host.requests[0]

"""What can go wrong with an output file."""

import gzip
import io
import time
import zlib
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from PIL import Image

from local.fal.downloads import BOMB_BYTES

if TYPE_CHECKING:
    from tests.local.fal.conftest import Fal, Live

PAINT = "fal-ai/flux-pro/kontext/text-to-image"
METADATA = "http://169.254.169.254/latest/meta-data/"
JPEG = b"\xff\xd8\xff"


def output(fal: "Fal", **files: object) -> str:
    """Run a request with those faults of its files, and give the URL that its result names."""
    fal.script({"files": files})
    url: str = fal.call().json()["images"][0]["url"]
    return url


def live_output(live: "Live", **files: object) -> str:
    """Do the same over a socket, where requests take no time but that of the painting."""
    live.script({"files": files})
    job = live.http.post(f"/{PAINT}", json={"prompt": "a"}).json()
    deadline = time.monotonic() + 10
    while live.http.get(job["status_url"]).status_code != 200 and time.monotonic() < deadline:
        time.sleep(0.01)
    url: str = live.http.get(job["response_url"]).json()["images"][0]["url"]
    return url


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_file_is_refused(fal: "Fal", status: int) -> None:
    """For the first fetches or for ever, while the result goes on naming it."""
    url = output(fal, answer=status, first=2)
    assert [fal.http.get(url).status_code for _ in range(3)] == [status, status, 200]
    assert fal.http.get(url).content.startswith(JPEG)
    url = output(fal, answer=status)
    assert {fal.http.get(url).status_code for _ in range(5)} == {status}


def test_the_file_host_is_down(live: "Live") -> None:
    """The connection is cut before an answer, twice; the third fetch works."""
    url = live_output(live, answer="closed", first=2)
    for _ in range(2):
        with pytest.raises(httpx.RemoteProtocolError):
            live.http.get(url)
    assert live.http.get(url).content.startswith(JPEG)


def test_a_file_drips(live: "Live") -> None:
    """Its pieces of a KiB come one by one, and all of them are the picture."""
    url = live_output(live, answer="drip", seconds=0.01)
    with live.http.stream("GET", url) as answer:
        pieces = list(answer.iter_raw())
    assert len(pieces) > 1
    assert len(b"".join(pieces)) == int(answer.headers["Content-Length"])
    assert Image.open(io.BytesIO(b"".join(pieces))).format == "JPEG"


def test_a_file_may_drip_for_hours(fal: "Fal") -> None:
    """On a clock that stands still, what is read is what lets time pass."""
    url = output(fal, answer="drip", seconds=600)
    before = fal.emulator.clock.now()
    size = len(fal.http.get(url).content)
    assert fal.emulator.clock.now() - before == 600 * -(-size // 1024)


def test_a_file_ends_short_of_its_length(live: "Live", fal: "Fal") -> None:
    """The Content-Length promises the whole; over a socket and in process the reader is told that it was cut."""
    url = live_output(live, answer="short")
    with live.http.stream("GET", url) as answer:
        promised, pieces = int(answer.headers["Content-Length"]), answer.iter_raw()
        got = next(pieces)
        with pytest.raises(httpx.RemoteProtocolError):
            list(pieces)
    assert got[:3] == JPEG
    assert len(got) < promised
    with pytest.raises(httpx.RemoteProtocolError):
        fal.http.get(output(fal, answer="short"))


def test_a_file_never_ends(live: "Live") -> None:
    """It begins as the picture; who stops reading is free."""
    url = live_output(live, answer="endless")
    got = b""
    with live.http.stream("GET", url) as answer:
        assert "Content-Length" not in answer.headers
        for piece in answer.iter_raw():
            got += piece
            if len(got) > 8_000_000:
                break
    assert got.startswith(JPEG)
    assert live.http.get("/emulator/health").status_code == 200


def test_a_file_unpacks_to_a_gibibyte(fal: "Fal") -> None:
    """It begins as the picture, is good gzip, and unpacks a thousandfold."""
    url = output(fal, answer="gzip_bomb")
    unpacker, packed, unpacked = zlib.decompressobj(wbits=31), 0, 0
    with fal.http.stream("GET", url) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        for piece in answer.iter_raw():
            packed += len(piece)
            unpacked += len(unpacker.decompress(piece))
            if unpacked > 64 * 1024 * 1024:
                break
    assert unpacked > 100 * packed
    assert BOMB_BYTES == 1024**3


def test_the_bomb_is_whole(fal: "Fal", monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads to its end gets the picture and zeros, with the right checksum."""
    monkeypatch.setattr("local.fal.downloads.BOMB_BYTES", 2 * 1024**2)
    with fal.http.stream("GET", output(fal, answer="gzip_bomb")) as answer:
        content = gzip.decompress(b"".join(answer.iter_raw()))
    assert content.startswith(JPEG)
    assert content.endswith(bytes(2 * 1024**2))


@pytest.mark.parametrize(
    ("answer", "start", "end"),
    [
        ("empty", b"", b""),
        ("html", b"<!doctype html>", b"</html>"),
        ("svg", b"<svg", b"</svg>"),
        ("polyglot", JPEG, b"</html>"),
        ("huge", b"\x89PNG", b"IEND\xaeB`\x82"),
    ],
)
def test_other_bytes_come_under_the_pictures_name_and_type(fal: "Fal", answer: str, start: bytes, end: bytes) -> None:
    """Neither the URL nor the Content-Type tells."""
    url = output(fal, answer=answer)
    got = fal.http.get(url)
    assert url.endswith(".jpeg")
    assert (got.status_code, got.headers["Content-Type"]) == (200, "image/jpeg")
    assert got.content.startswith(start)
    assert got.content.endswith(end)
    assert (got.content == b"") == (answer == "empty")


def test_a_huge_picture_is_small_until_it_is_opened(fal: "Fal") -> None:
    """Its header tells of 3.6 billion pixels."""
    content = fal.http.get(output(fal, answer="huge")).content
    assert len(content) < 200
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(content))


def test_a_file_redirects(fal: "Fal") -> None:
    """To wherever it is told, and the picture is not sent."""
    answer = fal.http.get(output(fal, answer="redirect", location=METADATA))
    assert (answer.status_code, answer.headers["Location"], answer.content) == (302, METADATA, b"")


def test_a_result_names_a_foreign_address(fal: "Fal") -> None:
    """In the webhook's payload too, and no file is made."""
    fal.script({"files": {"url": METADATA}})
    fal.submit(arguments={"prompt": "a", "num_images": 2}, params={"fal_webhook": "https://hooks.example/"})
    fal.emulator.advance(60)
    (sent,) = fal.sent
    assert sent.body.decode().count(METADATA) == 2


def test_a_setting_spoils_all_files_for_a_while(fal: "Fal") -> None:
    """Also those that were there before; a script's own fault goes before it."""
    usual, own = output(fal), output(fal, answer=404)
    fal.set(files={"answer": 500})
    assert [fal.http.get(url).status_code for url in (usual, own)] == [500, 404]
    fal.set(files=None)
    assert [fal.http.get(url).status_code for url in (usual, own)] == [200, 404]


def test_a_setting_counts_the_fetches_of_each_file(fal: "Fal") -> None:
    """The first of each fails."""
    fal.set(files={"answer": 500, "first": 1})
    for url in (output(fal), output(fal)):
        assert [fal.http.get(url).status_code for _ in range(2)] == [500, 200]


@pytest.mark.parametrize("files", [{"answer": "redirect"}, {"answer": 404, "location": "x"}, {"answer": 418}])
def test_a_fault_that_makes_no_sense_is_refused(fal: "Fal", files: dict[str, Any]) -> None:
    """In a script and in the settings."""
    assert fal.http.post("/emulator/scripts", json={"files": files}).json()["detail"][0]["loc"][:2] == [0, "files"]
    assert fal.http.patch("/emulator/settings", json={"files": files}).json()["detail"][0]["loc"][0] == "files"

"""fal's storage: tokens, uploads whole and in parts."""

from datetime import datetime
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.local.fal.conftest import Fal

BASE = "http://127.0.0.1:8787"


@pytest.fixture
def token(fal: "Fal") -> dict[str, str]:
    """Give the header that a fresh CDN token makes."""
    found = fal.http.post("/storage/auth/token?storage_type=fal-cdn-v3", json={}).json()
    return {"Authorization": f"{found['token_type']} {found['token']}"}


def test_a_token_names_its_base_and_its_end(fal: "Fal") -> None:
    """Four fields; the end is an ISO time with a zone, and the key is asked for."""
    found = fal.http.post("/storage/auth/token?storage_type=fal-cdn-v3", json={}).json()
    assert set(found) == {"token", "token_type", "base_url", "expires_at"}
    assert found["base_url"] == BASE
    assert datetime.fromisoformat(found["expires_at"]).timestamp() == fal.emulator.clock.now() + 3600
    fal.set(keys=["other:key"])
    assert fal.http.post("/storage/auth/token", json={}).status_code == 401


def test_bytes_are_uploaded_in_one_call(fal: "Fal", token: dict[str, str]) -> None:
    """The answer names a public URL that gives them back with their type."""
    headers = token | {"Content-Type": "image/png", "X-Fal-File-Name": "my cat.png"}
    url = fal.http.post("/files/upload", content=b"bytes", headers=headers).json()["access_url"]
    assert url.startswith(f"{BASE}/files/")
    assert url.endswith("/mycat.png")
    answer = fal.http.get(url, headers={"Authorization": ""})
    assert (answer.content, answer.headers["content-type"]) == (b"bytes", "image/png")


def test_an_upload_ends_with_its_lifecycle(fal: "Fal", token: dict[str, str]) -> None:
    """X-Fal-Object-Lifecycle is the name that this endpoint reads."""
    headers = token | {"X-Fal-Object-Lifecycle": '{"expiration_duration_seconds": 60}'}
    url = fal.http.post("/files/upload", content=b"bytes", headers=headers).json()["access_url"]
    fal.emulator.advance(59)
    assert fal.http.get(url).status_code == 200
    fal.emulator.advance(2)
    assert fal.http.get(url).status_code == 404


def test_an_upload_needs_a_token_in_force(fal: "Fal", token: dict[str, str]) -> None:
    """The account's key is no token, and a token lasts an hour."""
    assert fal.http.post("/files/upload", content=b"x").status_code == 401
    fal.emulator.advance(3601)
    assert fal.http.post("/files/upload", content=b"x", headers=token).status_code == 401


def test_an_initiated_upload_is_put_once(fal: "Fal") -> None:
    """The address is the permission: bytes are put there without a key, and not twice."""
    given = {"file_name": "a.webp", "content_type": "image/webp"}
    found = fal.http.post("/storage/upload/initiate?storage_type=gcs", json=given).json()
    assert fal.http.get(found["file_url"]).status_code == 404
    puts = [fal.http.put(found["upload_url"], content=b"web", headers={"Authorization": ""}) for _ in range(2)]
    assert [one.status_code for one in puts] == [200, 404]
    answer = fal.http.get(found["file_url"])
    assert (answer.content, answer.headers["content-type"]) == (b"web", "image/webp")


def test_a_large_file_is_uploaded_in_parts(fal: "Fal", token: dict[str, str]) -> None:
    """Parts come in any order, each is answered with an etag, and complete joins them."""
    headers = token | {"Content-Type": "video/mp4", "X-Fal-File-Name": "film.mp4"}
    begun = fal.http.post("/files/upload/multipart", headers=headers).json()
    parts = []
    for number, content in ((2, b"second"), (1, b"first")):
        answer = fal.http.put(
            f"{begun['access_url']}/multipart/{begun['uploadId']}/{number}", content=content, headers=token
        )
        parts.append({"partNumber": number, "etag": answer.headers["etag"]})
    assert fal.http.get(begun["access_url"]).status_code == 404
    url = f"{begun['access_url']}/multipart/{begun['uploadId']}/complete"
    assert fal.http.post(url, json={"parts": [{"partNumber": 3, "etag": "x"}]}, headers=token).status_code == 400
    assert fal.http.post(url, json={"parts": parts}, headers=token).status_code == 200
    answer = fal.http.get(begun["access_url"])
    assert (answer.content, answer.headers["content-type"]) == (b"firstsecond", "video/mp4")


def test_parts_of_an_unknown_upload_are_refused(fal: "Fal", token: dict[str, str]) -> None:
    """An upload that was never begun has no address."""
    assert fal.http.put("/files/a/multipart/b/1", content=b"x", headers=token).status_code == 404
    assert fal.http.post("/files/a/multipart/b/complete", json={"parts": []}, headers=token).status_code == 404
    assert fal.http.put("/files/a", content=b"x").status_code == 404
    assert fal.http.post("/storage/elsewhere").status_code == 404


def test_what_was_uploaded_is_an_input(fal: "Fal", token: dict[str, str], photo: bytes) -> None:
    """A runner reads the emulator's own files without the network, and no other of their addresses."""
    url = fal.http.post("/files/upload", content=photo, headers=token).json()["access_url"]
    edit = "fal-ai/flux-pro/kontext"
    assert fal.call({"prompt": "a", "image_url": url}, edit).status_code == 200
    lost = fal.call({"prompt": "a", "image_url": url + "x"}, edit)
    assert lost.json()["detail"][0]["type"] == "file_download_error"


def test_parts_are_put_where_the_caller_was_told(fal: "Fal") -> None:
    """fal's JavaScript client has no token: the address is the permission, and each part's ETag is in the body."""
    given = {"file_name": "a.png", "content_type": "image/png"}
    told = fal.http.post("/storage/upload/initiate-multipart?storage_type=fal-cdn-v3", json=given).json()
    nobody = {"Authorization": ""}
    parts = [
        fal.http.put(f"{told['upload_url']}/{number}", content=content, headers=nobody).json()
        for number, content in ((1, b"first "), (2, b"second"))
    ]
    assert [part["partNumber"] for part in parts] == [1, 2]
    done = fal.http.post(f"{told['upload_url']}/complete", json={"parts": parts}, headers=nobody)
    assert done.status_code == 200
    found = fal.http.get(told["file_url"])
    assert (found.content, found.headers["content-type"]) == (b"first second", "image/png")
    assert fal.http.put(f"{told['file_url']}/multipart/guessed/1", content=b"x", headers=nobody).status_code == 401


@pytest.mark.parametrize("name", ["größe 1.png", "写真.jpg", "a?b#c%d.png"])
def test_a_file_s_url_is_one(fal: "Fal", name: str) -> None:
    """Whatever the file is called its URL is ASCII, and leads to it."""
    url = fal.http.post("/storage/upload/initiate", json={"file_name": name}).json()["file_url"]
    assert url.isascii()
    assert fal.http.put(url, content=b"bytes").status_code == 200
    assert fal.http.get(url).content == b"bytes"


@pytest.mark.parametrize(
    ("asked", "status", "content"),
    [("bytes=2-4", 206, b"234"), ("bytes=-3", 206, b"789"), ("bytes=7-", 206, b"789"), ("bytes=20-", 416, None)],
)
def test_a_range_of_a_file(fal: "Fal", asked: str, status: int, content: bytes | None) -> None:
    """Viewers and downloaders ask for parts; without a range the whole file comes."""
    url = fal.http.post("/storage/upload/initiate", json={"file_name": "a.bin"}).json()["file_url"]
    fal.http.put(url, content=b"0123456789")
    found = fal.http.get(url, headers={"Range": asked})
    assert found.status_code == status
    if content is not None:
        assert found.content == content
        assert found.headers["Content-Range"].endswith("/10")
    assert fal.http.get(url).content == b"0123456789"

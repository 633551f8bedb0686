"""fal's storage: CDN tokens, uploads whole and in parts, and the files themselves."""

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from werkzeug.wrappers import Request as Call
from werkzeug.wrappers import Response

from local.fal import access
from local.fal.answers import answer
from local.fal.downloads import download
from local.fal.runner import output_seconds, parse_lifecycle

if TYPE_CHECKING:
    from pydantic import JsonValue

    from local.fal.emulator import Emulator

TOKEN_SECONDS = 3600.0
BINARY = "application/octet-stream"


@dataclass
class Upload:
    """An upload that has an address and not yet its bytes."""

    path: str
    content_type: str
    seconds: float | None
    needs_token: bool = True
    """Whether its parts need the CDN's token; otherwise their address is the permission."""
    parts: dict[int, bytes] = field(default_factory=dict)


class UploadDesk:
    """Tokens given out and uploads begun."""

    def __init__(self) -> None:
        self.tokens: dict[str, float] = {}
        self.initiated: dict[str, Upload] = {}
        self.multipart: dict[str, Upload] = {}

    def clear(self) -> None:
        """Forget them all."""
        self.tokens.clear()
        self.initiated.clear()
        self.multipart.clear()


def respond(emulator: "Emulator", call: Call) -> Response:
    """Answer a call below /storage or /files."""
    match call.method, call.path.strip("/").split("/"):
        case "GET" | "HEAD", ["files", *rest]:
            return download(emulator, call, "/".join(rest))
        case "POST", ["storage", "auth", "token"]:
            return _refused(emulator, call) or _token(emulator)
        case "POST", ["storage", "upload", "initiate"]:
            return _refused(emulator, call) or _initiate(emulator, call)
        case "POST", ["storage", "upload", "initiate-multipart"]:
            return _refused(emulator, call) or _initiate_parts(emulator, call)
        case "POST", ["files", "upload"]:
            return _without_token(emulator, call) or _upload(emulator, call)
        case "POST", ["files", "upload", "multipart"]:
            return _without_token(emulator, call) or _begin(emulator, call)
        case "PUT", ["files", *rest, "multipart", upload_id, number] if number.isdigit():
            upload = _begun(emulator, call, "/".join(rest), upload_id)
            return upload if isinstance(upload, Response) else _part(call, upload, int(number))
        case "POST", ["files", *rest, "multipart", upload_id, "complete"]:
            upload = _begun(emulator, call, "/".join(rest), upload_id)
            return upload if isinstance(upload, Response) else _complete(emulator, call, upload, upload_id)
        case "PUT", ["files", *rest]:
            return _put(emulator, call, "/".join(rest))
        case _:
            return answer({"detail": "Not Found"}, 404)


def _refused(emulator: "Emulator", call: Call) -> Response | None:
    refusal = access.refusal(emulator.settings, call)
    return None if refusal is None else answer({"detail": refusal}, 401)


def _without_token(emulator: "Emulator", call: Call) -> Response | None:
    scheme, _, token = call.headers.get("Authorization", "").partition(" ")
    if scheme == "Bearer" and emulator.uploads.tokens.get(token, 0.0) > emulator.clock.now():
        return None
    return answer({"detail": "Invalid or expired token"}, 401)


def _token(emulator: "Emulator") -> Response:
    token = emulator.queue.make_id()
    expires_at = emulator.clock.now() + TOKEN_SECONDS
    emulator.uploads.tokens[token] = expires_at
    return answer(
        {
            "token": token,
            "token_type": "Bearer",
            "base_url": emulator.settings.public_url,
            "expires_at": datetime.fromtimestamp(expires_at, UTC).isoformat(),
        }
    )


def _new_path(emulator: "Emulator", name: str) -> str:
    clean = "".join(letter for letter in name if letter.isalnum() or letter in "._-") or "file"
    return f"uploads/{emulator.queue.make_id()}/{clean}"


def _url(emulator: "Emulator", path: str) -> str:
    return f"{emulator.settings.public_url}/files/{quote(path)}"


def _announced(emulator: "Emulator", call: Call) -> Upload:
    """Read an upload's name, type and lifetime from its headers."""
    header = call.headers.get("X-Fal-Object-Lifecycle") or call.headers.get("X-Fal-Object-Lifecycle-Preference")
    return Upload(
        path=_new_path(emulator, call.headers.get("X-Fal-File-Name", "")),
        content_type=call.headers.get("Content-Type", BINARY),
        seconds=output_seconds(emulator.settings, parse_lifecycle(header)),
    )


def _upload(emulator: "Emulator", call: Call) -> Response:
    upload = _announced(emulator, call)
    emulator.files.put(upload.path, call.get_data(), upload.content_type, upload.seconds)
    return answer({"access_url": _url(emulator, upload.path)})


def _asked_for(emulator: "Emulator", call: Call) -> Upload:
    """Read an upload's name and type from the body, and its lifetime from the headers."""
    given = call.get_json(force=True)
    header = call.headers.get("X-Fal-Object-Lifecycle") or call.headers.get("X-Fal-Object-Lifecycle-Preference")
    return Upload(
        path=_new_path(emulator, str(given.get("file_name", ""))),
        content_type=str(given.get("content_type", BINARY)),
        seconds=output_seconds(emulator.settings, parse_lifecycle(header)),
        needs_token=False,
    )


def _initiate(emulator: "Emulator", call: Call) -> Response:
    upload = _asked_for(emulator, call)
    emulator.uploads.initiated[upload.path] = upload
    url = _url(emulator, upload.path)
    return answer({"upload_url": url, "file_url": url})


def _initiate_parts(emulator: "Emulator", call: Call) -> Response:
    upload = _asked_for(emulator, call)
    upload_id = emulator.queue.make_id()
    emulator.uploads.multipart[upload_id] = upload
    url = _url(emulator, upload.path)
    return answer({"upload_url": f"{url}/multipart/{upload_id}", "file_url": url})


def _put(emulator: "Emulator", call: Call, path: str) -> Response:
    """Take the bytes of an initiated upload: its address is the permission, and it is good for once."""
    upload = emulator.uploads.initiated.pop(path, None)
    if upload is None:
        return answer({"detail": "Not Found"}, 404)
    emulator.files.put(path, call.get_data(), upload.content_type, upload.seconds)
    return Response(status=200)


def _begin(emulator: "Emulator", call: Call) -> Response:
    upload = _announced(emulator, call)
    upload_id = emulator.queue.make_id()
    emulator.uploads.multipart[upload_id] = upload
    return answer({"access_url": _url(emulator, upload.path), "uploadId": upload_id})


def _begun(emulator: "Emulator", call: Call, path: str, upload_id: str) -> Upload | Response:
    """The upload in parts that a call is about, or why it may not."""
    upload = emulator.uploads.multipart.get(upload_id)
    if (upload is None or upload.needs_token) and (refusal := _without_token(emulator, call)):
        return refusal
    return upload if upload and upload.path == path else answer({"detail": "Not Found"}, 404)


def _part(call: Call, upload: Upload, number: int) -> Response:
    """Keep a part; Python's client reads its ETag in the header, and JavaScript's in the body."""
    upload.parts[number] = call.get_data()
    etag = f'"{_etag(upload.parts[number])}"'
    return answer({"partNumber": number, "etag": etag}, 200, {"ETag": etag})


def _complete(emulator: "Emulator", call: Call, upload: Upload, upload_id: str) -> Response:
    """Join the parts that the caller names; one that it never sent, or sent otherwise, is its fault."""
    named: list[dict[str, JsonValue]] = call.get_json(force=True).get("parts", [])
    content = b""
    for part in sorted(named, key=lambda part: int(str(part["partNumber"]))):
        held = upload.parts.get(int(str(part["partNumber"])))
        if held is None or str(part["etag"]).strip('"') != _etag(held):
            return answer({"detail": f"part {part['partNumber']} does not match"}, 400)
        content += held
    del emulator.uploads.multipart[upload_id]
    emulator.files.put(upload.path, content, upload.content_type, upload.seconds)
    return answer({"access_url": _url(emulator, upload.path)})


def _etag(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]

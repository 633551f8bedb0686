"""What fal makes of a request that it took, by the request's fate."""

from typing import Any

from local.fal import Script
from local.fal.faults import InfrastructureFault
from local.fal.scripts import ScriptedResult
from tests.simulation.scenarios import PROMPT, Fate

FAL = "http://127.0.0.1:8787"
MOVED = "http://127.0.0.1:9787"
"""Where fal's files are that have moved to another host."""
LARGE, VAST = 12_000, 450_000
"""Bytes that make a result one of those which fal keeps for six minutes only, and one that fits into no row."""
TAILS: dict[Fate, int] = {"long_urls": 8_100, "overlong_urls": 30_000}
"""Characters that make URLs as long as they are taken, and longer ones."""
MORE: dict[Fate, int] = {"generous": 3, "fewer": -1}
"""How many pictures more are made than were asked for."""
STUCK_SECONDS = 20_000.0
"""For so long fal works on a request whose time has long been over."""
QUEUED_SECONDS = 10_000.0
HEAD = b"\xff\xd8\xff\xc0\x00\x0b\x08\x00\x10\x00\x10\x01\x01\x11\x00"
"""The beginning of a JPEG of 16 by 16 pixels."""
PAGE = b"<html><body>It is not here.</body></html>"
NEVER_RUN: dict[Fate, InfrastructureFault] = {
    "runner_error": "runner_server_error",
    "startup_timeout": "startup_timeout",
}
ERRORS: dict[Fate, str] = {"error": "content_policy_violation", "download_error": "file_download_error"}


def error_body(kind: str) -> dict[str, Any]:
    """A model's error; its `input` echoes the prompt, which must stay out of the log."""
    detail = {"loc": ["body", "image_url"], "msg": "It could not be done.", "type": kind, "input": {"prompt": PROMPT}}
    return {"detail": [detail]}


def failure(fate: Fate) -> Script | None:
    """The script of a request that makes no picture."""
    if fate in NEVER_RUN:
        return Script(infrastructure_error=NEVER_RUN[fate])
    if fate in ERRORS:
        return Script(result=ScriptedResult(status=422, body=error_body(ERRORS[fate])))
    if fate == "untyped":
        return Script(result=ScriptedResult(status=400, body={"detail": "Bad request"}))
    return None


def pictures(fate: Fate, number: int, asked_for: int) -> list[bytes]:
    """The files that a request makes."""
    images = asked_for + MORE.get(fate, 0)
    made = [HEAD + f"request {number}, image {index}".encode() for index in range(images)]
    match fate:
        case "no_bytes":
            return [b""] * images
        case "pages":
            return [PAGE] * images
        case "page_in_part":
            return [*made[:-1], PAGE]
        case "none":
            return []
    return made


def url(fate: Fate, number: int, index: int) -> str:
    """Where a file is, as the result says."""
    host = MOVED if fate == "moved" or (fate == "moved_in_part" and index) else FAL
    tail = f"?{'x' * TAILS[fate]}" if fate in TAILS else ""
    return f"{host}/files/{number}/{0 if fate == 'same_twice' else index}.jpg{tail}"


def success(fate: Fate, number: int, images: int) -> Script:
    """The script of a request that makes so many pictures."""
    records = [{"url": url(fate, number, index), "content_type": "image/jpeg"} for index in range(images)]
    content: dict[str, Any] = {"images": records, "seed": number, "prompt": PROMPT}
    if fate == "vast":
        content = {"pictures": "x" * VAST}
    if fate == "large":
        content["timings"] = "x" * LARGE
    return Script(
        result=ScriptedResult(body=content, billable_units=max(images, 1)),
        payload_error=fate == "payload_error",
        queue_seconds=QUEUED_SECONDS if fate == "never_started" else None,
        run_seconds=STUCK_SECONDS if fate in {"stuck", "stuck_for_good"} else None,
        cancelled_running_completes=True if fate == "stuck_for_good" else None,
    )

"""Bad input gets an answer that names the field, and nothing is written, sent or paid for it."""

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from functions import submit
from shared.endpoints import Endpoint

MISSING: Any = object()
URL = "https://images.example/a.png"
EDITS = (Endpoint.KONTEXT, Endpoint.MAX)
MULTIS = (Endpoint.MULTI, Endpoint.MAX_MULTI)
TEXTS = (Endpoint.TEXT_TO_IMAGE, Endpoint.MAX_TEXT_TO_IMAGE)
RATIOS = ("21:9", "16:9", "4:3", "3:2", "1:1", "2:3", "3:4", "9:16", "9:21")

# Field, and the values that break what fal documents for it on each of the six endpoints.
BROKEN_ON_ALL: dict[str, list[Any]] = {
    "prompt": [MISSING, None, "", " \n\t", 7, True, ["p"], {"text": "p"}, "\ud800"],
    "seed": [1.5, True, "", "x", "1.0", "1e3", "1_000", "0x10", "\u0661", [1], {}, "9" * 5000],
    "guidance_scale": [0, 0.99, 20.01, 21, -3.5, "3.5", True, [3.5]],
    "sync_mode": ["true", "yes", 1, 0, [True]],
    "num_images": [0, 5, -1, 1.5, "2", True, [1], 10**30],
    "output_format": ["jpg", "webp", "JPEG", "image/png", "", 1, True, ["png"]],
    "safety_tolerance": [0, 7, -1, "0", "7", "02", " 2", "2.0", 2.5, True, "strict", "", ["2"]],
    "enhance_prompt": ["false", "on", 1, 0, {}],
    "aspect_ratio": ["16:10", "16x9", "1:1 ", "1", "", "string", "9:21:1", 1, True, ["1:1"], {"w": 1}],
    "endpoint": ["", "fal-ai/flux/dev", "kontext", "fal-ai/flux-pro/kontext/", "FAL-AI/FLUX-PRO/KONTEXT", 1, True, []],
    "preset": ["no-such-preset", "", "../presets", 1, True, ["donut"], {}],
}
# No endpoint has these, though other models, other tools or fal's own sketches do.
UNKNOWN_FIELDS = (
    "Prompt",
    "cfg_scale",
    "fal_webhook",
    "height",
    "image",
    "images",
    "input",
    "mask_url",
    "metadata",
    "negative_prompt",
    "num_inference_steps",
    "owner",
    "strength",
    "webhook_url",
    "width",
)
# fal takes public addresses only, and would fail on these after they are paid for.
PRIVATE = (
    "https://localhost/a.png",
    "https://127.0.0.1/a.png",
    "https://10.0.0.1:8443/a.png",
    "https://169.254.169.254/latest/meta-data/",
    "https://[::1]/a.png",
)
# References that are no image which may be used, wherever an image stands.
WRONG_IMAGES: tuple[Any, ...] = (
    None,
    7,
    True,
    {"url": URL},
    "",
    " ",
    "http://images.example/a.png",
    "HTTP://images.example/a.png",
    "data:image/png;base64,iVBORw0KGgo=",
    "ftp://images.example/a.png",
    "file:///etc/passwd",
    "https://",
    "https:///a.png",
    "https:images.example/a.png",
    "https://images.example:port/a.png",
    "https://images.example/a b.png",
    "https://images.example/a.png\n",
    "https://images.example\\@evil.example/a.png",
    *PRIVATE,
    "s3://",
    "s3://darkroom-inputs",
    "s3://darkroom-inputs/",
    "s3://someone-elses-bucket/photos/coffee.png",
    "s3://darkroom-inputs/photos/none.png",
    "photos/none.png",
    "photos/phone.png",
    "photos/empty.png",
    "photos/page.png",
    "photos/drawing.png",
    "photos/cut.png",
    "photos/",
    "p" * 1025,
    "photos/\ud800.png",
)
WRONG_LISTS: tuple[Any, ...] = (None, [], URL, 7, {"0": URL})
CONFLICTS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "tier and endpoint": ({"tier": "pro"}, {"tier", "endpoint"}),
    "three jpegs in one delivery": ({"sync_mode": True, "num_images": 3}, {"sync_mode", "num_images"}),
    "four jpegs in one delivery": ({"sync_mode": True, "num_images": 4}, {"sync_mode", "num_images"}),
    "two pngs in one delivery": (
        {"sync_mode": True, "num_images": 2, "output_format": "png"},
        {"sync_mode", "num_images", "output_format"},
    ),
}


def valid(endpoint: Endpoint) -> dict[str, Any]:
    """A body that the endpoint takes; each case breaks it in one place."""
    images: dict[str, Any] = {}
    if endpoint in EDITS:
        images = {"image_url": URL}
    elif endpoint in MULTIS:
        images = {"image_urls": [URL, URL]}
    return {"endpoint": endpoint.value, "prompt": "Make it blue", **images}


def changed(body: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The body with other values, or without a field."""
    return {name: value for name, value in (body | changes).items() if value is not MISSING}


def image_cases(endpoint: Endpoint) -> list[tuple[dict[str, Any], set[str]]]:
    """The image fields of the endpoint broken, and those of the others put in."""
    body = valid(endpoint)
    if endpoint in EDITS:
        single = [(changed(body, image_url=wrong), {"image_url"}) for wrong in (MISSING, [URL], *WRONG_IMAGES)]
        both = {"image_url", "image_urls"}
        return [
            *single,
            (changed(body, image_url=MISSING, image_urls=[URL]), both),
            (changed(body, image_urls=[URL, URL]), both),
        ]
    if endpoint in MULTIS:
        whole = [(changed(body, image_urls=wrong), {"image_urls"}) for wrong in (MISSING, *WRONG_LISTS)]
        items = [(changed(body, image_urls=[URL, wrong]), {"image_urls.1"}) for wrong in ([URL], *WRONG_IMAGES)]
        first = (changed(body, image_urls=["photos/none.png", URL]), {"image_urls.0"})
        both = {"image_url", "image_urls"}
        return [
            *whole,
            *items,
            first,
            (changed(body, image_urls=MISSING, image_url=URL), both),
            (changed(body, image_url=URL), both),
        ]
    return [(changed(body, image_url=URL), {"image_url"}), (changed(body, image_urls=[URL, URL]), {"image_urls"})]


def cases(endpoint: Endpoint) -> list[tuple[dict[str, Any], set[str]]]:
    """Every broken body of an endpoint, and the fields of which one must be named and no other may be."""
    body = valid(endpoint)
    table = [(changed(body, **{name: wrong}), {name}) for name, values in BROKEN_ON_ALL.items() for wrong in values]
    table += [(changed(body, **{name: 1}), {name}) for name in UNKNOWN_FIELDS]
    table += [(changed(body, **changes), fields) for changes, fields in CONFLICTS.values()]
    return table + image_cases(endpoint)


def put_wrong_objects(system: Any) -> None:
    """Objects that are there, and are no picture that fal takes."""
    system.put("photos/phone.png", "rocket.heic")
    system.put("photos/cut.png")
    wrong: dict[str, bytes] = {
        "photos/empty.png": b"",
        "photos/page.png": b"<!doctype html><html><body>no picture</body></html>",
        "photos/drawing.png": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        "photos/cut.png": b"\x89PN",
        "photos/": b"",
    }
    for key, content in wrong.items():
        system.s3.put_object(Bucket="darkroom-inputs", Key=key, Body=content)


def complaint(answer: dict[str, Any], fields: set[str], status: int = 422) -> str | None:
    """What is wrong with the refusal of a bad input, if anything."""
    if answer["statusCode"] != status:
        return f"status {answer['statusCode']}"
    if answer["headers"].get("Content-Type") != "application/problem+json":
        return f"content type {answer['headers'].get('Content-Type')}"
    problem = json.loads(answer["body"])
    if set(problem) != {"type", "title", "status", "detail", "instance", "errors"} or problem["status"] != status:
        return f"no problem: {problem}"
    if any(set(error) != {"field", "message"} or not error["message"] for error in problem["errors"]):
        return f"errors {problem['errors']}"
    named = {error["field"] for error in problem["errors"]}
    return None if named and named <= fields else f"names {named}"


def post(system: Any, body: Any, **headers: str) -> dict[str, Any]:
    """POST /jobs, and give the whole answer."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer: dict[str, Any] = system.http("POST", "/jobs", body=content, content_type="application/json", **headers)
    return answer


def refusals(attempts: list[tuple[Any, set[str]]], send: Callable[[Any], dict[str, Any]]) -> list[str]:
    """Send every case, and list those that were not refused as they must be."""
    wrong = []
    for case, fields in attempts:
        try:
            found = complaint(send(case), fields)
        except Exception as error:  # noqa: BLE001 - what escapes the handler is a 500 for the caller
            found = f"raised {error!r:.200}"
        if found:
            wrong.append(f"{case!r:.200} should name {sorted(fields)}: {found}")
    return wrong


@pytest.mark.parametrize("endpoint", list(Endpoint))
def test_each_constraint_of_each_endpoint_broken_once(system: Any, endpoint: Endpoint) -> None:
    """Whatever a body breaks of what fal documents, it is refused by the field's name, and leaves no trace."""
    put_wrong_objects(system)
    assert refusals(cases(endpoint), lambda body: post(system, body)) == []
    assert system.rows() == []
    assert system.requests() == []


@pytest.mark.parametrize("endpoint", list(Endpoint))
def test_the_ends_of_each_range_are_good(system: Any, endpoint: Endpoint) -> None:
    """What lies just inside the documented limits is taken, and reaches fal as it was given."""
    good: list[dict[str, Any]] = [
        {"guidance_scale": 1, "num_images": 1, "safety_tolerance": "1", "seed": 0},
        {"guidance_scale": 20, "num_images": 4, "safety_tolerance": "6", "seed": 2**64 - 1, "output_format": "png"},
        {"guidance_scale": 1.0, "sync_mode": True, "num_images": 2, "output_format": "jpeg", "enhance_prompt": True},
        {"guidance_scale": 20.0, "sync_mode": True, "num_images": 1, "output_format": "png"},
        *({"aspect_ratio": ratio} for ratio in RATIOS),
    ]
    for fields in good:
        assert post(system, valid(endpoint) | fields)["statusCode"] == 202
    sent = [request["arguments"] for request in system.requests()]
    assert len(sent) == len(good)
    for fields in good:
        assert any(fields.items() <= arguments.items() for arguments in sent)


def test_whole_numbers_and_digits_are_put_right(system: Any) -> None:
    """safety_tolerance as a number and seed as text are taken, and sent as the types that fal documents."""
    for level in range(1, 7):
        assert system.post({"prompt": "p", "safety_tolerance": level, "seed": "18446744073709551615"})[0] == 202
    sent = [request["arguments"] for request in system.requests()]
    assert sorted(arguments["safety_tolerance"] for arguments in sent) == list("123456")
    assert all(arguments["seed"] == 2**64 - 1 for arguments in sent)
    assert all(isinstance(arguments["guidance_scale"], float) for arguments in sent)


CHOICES: list[tuple[Any, set[str]]] = [
    ({}, {"prompt"}),
    ({"tier": "pro"}, {"prompt"}),
    ({"prompt": "p", "tier": "ultra"}, {"tier"}),
    ({"prompt": "p", "tier": "Pro"}, {"tier"}),
    ({"prompt": "p", "tier": ""}, {"tier"}),
    ({"prompt": "p", "tier": 1}, {"tier"}),
    ({"prompt": "p", "tier": ["max"]}, {"tier"}),
    ({"prompt": "p", "image_url": URL, "image_urls": [URL]}, {"image_url", "image_urls"}),
    ({"prompt": "p", "image_urls": []}, {"image_urls"}),
    ({"prompt": "p", "image_urls": URL}, {"image_urls"}),
    ({"prompt": "p", "image_urls": [URL, "http://images.example/b.png"]}, {"image_urls.1"}),
    ({"prompt": "p", "image_urls": [URL, "photos/phone.png"]}, {"image_urls.1"}),
    ({"prompt": "p", "image_url": ["photos/cut.png"]}, {"image_url"}),
    ({"prompt": "p", "uploads": []}, {"uploads"}),
    ({"prompt": "p", "arguments": {"seed": 1}}, {"arguments"}),
    ({"prompt": "p", "output_key": "x/{index}.{ext}"}, {"output_key"}),
    ({"prompt": "p", "job_id": "0" * 32}, {"job_id"}),
    ({"prompt": "p", "": 1}, {"", "body"}),
    ({"preset": "tiger-eye", "num_images": 5}, {"num_images"}),
    ({"preset": "tiger-eye", "aspect_ratio": "5:4"}, {"aspect_ratio"}),
    ({"preset": "tiger-eye", "prompt": ""}, {"prompt"}),
    ({"preset": "tiger-eye", "image_url": URL}, {"image_url"}),
    ({"preset": "put-together"}, {"image_urls"}),
    ({"preset": "put-together", "image_urls": [URL, None]}, {"image_urls.1"}),
    ({"preset": "tiger-eye", "sync_mode": True, "num_images": 3}, {"sync_mode", "num_images"}),
    ({"preset": "studio-shot", "image_url": URL, "sync_mode": True, "num_images": 2}, {"sync_mode", "num_images"}),
]


def test_what_is_chosen_wrongly(system: Any) -> None:
    """Tier, preset and images that do not go together are refused by name, whichever endpoint they would mean."""
    put_wrong_objects(system)
    assert refusals(CHOICES, lambda body: post(system, body)) == []
    assert system.rows() == []
    assert system.requests() == []


def test_several_faults_are_named_at_once(system: Any) -> None:
    """A caller learns of all that is wrong with a body in one answer."""
    status, problem = system.post({"image_url": URL, "num_images": 9, "output_format": "gif", "strength": 1})
    assert status == 422
    named = {error["field"] for error in problem["errors"]}
    assert named == {"prompt", "num_images", "output_format", "strength"}
    assert all(name in problem["detail"] for name in named)
    assert system.rows() == []


NESTED = 100_000
BODIES: list[tuple[bytes, set[str]]] = [
    (b"", {"body", "prompt"}),
    (b" ", {"body"}),
    (b"{", {"body"}),
    (b"prompt=p", {"body"}),
    (b"[]", {"body"}),
    (b'[{"prompt": "p"}]', {"body"}),
    (b'"prompt"', {"body"}),
    (b"null", {"body"}),
    (b"7", {"body"}),
    (b'{"prompt": "p"} {"prompt": "p"}', {"body"}),
    (b"{'prompt': 'p'}", {"body"}),
    (b'{"prompt": "p",}', {"body"}),
    (b'{"prompt": "p", "guidance_scale": NaN}', {"body", "guidance_scale"}),
    (b'{"prompt": "p", "guidance_scale": Infinity}', {"body", "guidance_scale"}),
    (b'{"prompt": "p", "guidance_scale": 1e999}', {"body", "guidance_scale"}),
    (b'{"prompt": "p", "seed": NaN}', {"body", "seed"}),
    (b'{"prompt": "p", "seed": 1e999}', {"body", "seed"}),
    (b'{"prompt": "p", "seed": ' + b"9" * 5000 + b"}", {"body", "seed"}),
    (b'{"prompt": NaN}', {"body", "prompt"}),
    (b"[" * NESTED, {"body"}),
    (b'{"prompt":' * NESTED, {"body"}),
    (b'{"prompt": ' + b"[" * NESTED + b"]" * NESTED + b"}", {"body", "prompt"}),
    (b'{"prompt": "\\ud800"}', {"body", "prompt"}),
    (b'{"prompt": "p", "\\udfff": 1}', {"body", "\udfff", "?"}),
]


def test_what_is_no_json_object(system: Any) -> None:
    """A body that cannot be read, or is not an object, is refused whole."""
    assert refusals(BODIES, lambda body: post(system, body)) == []
    assert system.rows() == []
    assert system.requests() == []


def test_a_body_too_large_to_keep(system: Any) -> None:
    """What would not fit into a row is refused before anything is tried, whichever field holds it."""
    huge: list[tuple[Any, str]] = [
        ({"prompt": "p" * 500_000}, "prompt"),
        ({"prompt": "\u00e4" * 300_000}, "prompt"),
        ({"prompt": "p", "image_urls": [URL + "?" + "x" * 500_000, URL]}, "image_urls.0"),
        ({"prompt": "p", "image_urls": [URL] * 20_000}, "image_urls"),
        ({"prompt": "p", "x" * 500_000: 1}, "x" * 500_000),
    ]
    for body, field in huge:
        answer = post(system, body)
        assert answer["statusCode"] in {413, 422}
        assert complaint(answer, {"body", field}, answer["statusCode"]) is None
        assert len(answer["body"]) < 100_000 or field.startswith("x")
    assert system.rows() == []
    assert system.requests() == []


def test_base64_and_bytes_that_are_no_text(system: Any) -> None:
    """API Gateway may hand a body over as base64: good ones are read, and what is no UTF-8 is refused."""
    for content, expected in (
        (b'{"prompt": "\xff\xfe"}', 422),
        (b"\x89PNG\r\n\x1a\n", 422),
        ('{"prompt": "größer ✓"}'.encode(), 202),
    ):
        event = {
            "version": "2.0",
            "rawPath": "/jobs",
            "rawQueryString": "",
            "headers": {"content-type": "application/json"},
            "requestContext": {
                "http": {"method": "POST", "path": "/jobs"},
                "requestId": "JKJaXmPLvHcESHA=",
                "stage": "$default",
                "authorizer": {"lambda": {"owner": "shop"}},
            },
            "body": base64.b64encode(content).decode(),
            "isBase64Encoded": True,
        }
        answer = submit.from_api(event, system.context)
        assert answer["statusCode"] == expected
        assert expected == 202 or complaint(answer, {"body"}) is None
    (request,) = system.requests()
    assert request["arguments"]["prompt"] == "größer ✓"
    assert len(system.rows()) == 1


def test_a_bad_idempotency_key(system: Any) -> None:
    """The header takes 1 to 255 visible ASCII characters, and anything else is refused by its name."""
    keys: list[tuple[Any, set[str]]] = [
        (key, {"Idempotency-Key"}) for key in ("", " ", "a b", "k" * 256, "schl\u00fcssel", "\u043a", "a\tb", "a\x7f")
    ]
    assert refusals(keys, lambda key: post(system, {"prompt": "p"}, Idempotency_Key=key)) == []
    assert system.rows() == []
    assert system.requests() == []
    for key in ("!", "~" * 255):
        assert post(system, {"prompt": "p"}, Idempotency_Key=key)["statusCode"] == 202


QUERIES: list[tuple[str, set[str]]] = [
    *((f"limit={value}", {"limit"}) for value in ("0", "101", "-1", "", "x", "1.5", "1e1", "%2B5", "1_0", "%D9%A1")),
    *((f"limit={value}", {"limit"}) for value in ("9" * 5000, "%205", "NaN")),
    *((f"status={value}", {"status"}) for value in ("", "done", "SUCCEEDED", "queued,failed", "%00", "COMPLETED")),
    *((f"cursor={quote(value, safe='')}", {"cursor"}) for value in ("", "x", "e30=", "e30", "bnVsbA==", "{}", "%00")),
    *((f"cursor={quote(value, safe='')}", {"cursor"}) for value in ("\u00e4", "W10=", "MQ==", "A" * 5000, "/w==")),
]


def test_a_bad_query(system: Any) -> None:
    """Listing takes a limit from 1 to 100, a status that exists, and a cursor that an earlier page gave."""
    assert refusals(list(QUERIES), lambda query: system.http("GET", f"/jobs?{query}")) == []

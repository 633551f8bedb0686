"""True deliveries damaged: their bytes, their writing and their headers."""

import base64
import gzip
import json
from collections.abc import Callable
from dataclasses import replace

from tests.forgeries.calls import (
    FAL,
    FAL_OLD,
    REQUEST_ID,
    SIGNED,
    USER_ID,
    Call,
    Random,
)

Mutation = Callable[[Random, Call, Call], Call]
"""Spoils the first call; the second is another true one."""


def put(call: Call, name: str, value: str) -> Call:
    """The call with another value of one header."""
    return call.with_values(**{name.replace("-", "_"): value})


def flip_text(rng: Random, text: str) -> str:
    """Another bit in one character."""
    place = rng.randrange(len(text))
    return text[:place] + chr(ord(text[place]) ^ 1 << rng.randrange(7)) + text[place + 1 :]


def flip_body(rng: Random, call: Call, _: Call) -> Call:
    """One bit, or a few, anywhere in the body."""
    body = bytearray(call.body)
    for _again in range(rng.choice([1, 1, 1, 2, 8])):
        body[rng.randrange(len(body))] ^= 1 << rng.randrange(8)
    return replace(call, body=bytes(body))


def flip_value(rng: Random, call: Call, _: Call) -> Call:
    """One bit of a header that is signed, or of the signature."""
    name = rng.choice(SIGNED)
    return put(call, name, flip_text(rng, call.value(name)))


def flip_name(rng: Random, call: Call, _: Call) -> Call:
    """One bit of the name of a header that counts."""
    headers = list(call.headers)
    place = rng.randrange(1, len(headers))
    headers[place] = flip_text(rng, headers[place][0]), headers[place][1]
    return replace(call, headers=tuple(headers))


def flip_path(rng: Random, call: Call, _: Call) -> Call:
    """One bit of the job's id."""
    stem, _slash, job_id = call.path.rpartition("/")
    return replace(call, path=f"{stem}/{flip_text(rng, job_id)}")


def flip_query(rng: Random, call: Call, _: Call) -> Call:
    """One bit of the query."""
    return replace(call, query=flip_text(rng, call.query))


def cut(rng: Random, call: Call, _: Call) -> Call:
    """Something cut short, at either end."""
    place = rng.randrange(1, len(call.body))
    name = rng.choice(SIGNED)
    return rng.choice(
        [
            replace(call, body=call.body[:place]),
            replace(call, body=call.body[place:]),
            replace(call, body=b""),
            replace(call, path=call.path[: -rng.randint(1, 32)]),
            replace(call, query=call.query[: -rng.randint(1, 70)]),
            put(call, name, call.value(name)[: -rng.randint(1, 9)]),
            put(call, name, call.value(name)[rng.randint(1, 9) :]),
        ]
    )


def edit_body(rng: Random, call: Call, other: Call) -> Call:
    """Bytes put in, taken out, moved or exchanged; or another delivery's body."""
    body, place = call.body, rng.randrange(len(call.body))
    made = [
        body[:place] + rng.randbytes(rng.randint(1, 4)) + body[place:],
        body[:place] + body[place + rng.randint(1, 9) :],
        body[place:] + body[:place],
        body[:place] + body[place : place + 2][::-1] + body[place + 2 :],
        body + rng.choice([b" ", b"\n", b"\0", b"{}", body]),
        rng.choice([b" ", b"\n", b"\xef\xbb\xbf"]) + body,
        body.replace(b'"OK"', b'"ERROR"') if b'"OK"' in body else body.replace(b'"ERROR"', b'"OK"'),
        body.replace(b"https://v3.fal.media/", b"https://v3.fal.media.example/"),
        body.replace(b'"request_id"', b'"request_id": "x", "request_id"'),
        other.body,
    ]
    return replace(call, body=rng.choice(made))


def rewrite_body(rng: Random, call: Call, _: Call) -> Call:
    """The same JSON written in another way, or the same text in another encoding."""
    content, text = json.loads(call.body), call.body.decode()
    made = [
        json.dumps(content, separators=(",", ":")).encode(),
        json.dumps(content, indent=rng.choice([0, 1, 2, 4])).encode(),
        json.dumps(dict(reversed(content.items()))).encode(),
        json.dumps(content, sort_keys=True, ensure_ascii=False).encode(),
        text.replace("/", "\\/").encode(),
        text.replace('"request_id"', '"\\u0072equest_id"').encode(),
        text.encode(rng.choice(["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-7", "cp037"])),
        base64.b64encode(call.body),
        gzip.compress(call.body, mtime=0),
        call.body.hex().encode(),
        b"payload=" + call.body,
    ]
    return replace(call, body=rng.choice(made), wrapped=rng.random() < 0.2)


def spoil_headers(rng: Random, call: Call, other: Call) -> Call:
    """A header left out, given twice, renamed, empty, padded or taken from another delivery."""
    name = rng.choice(SIGNED)
    value, index = call.value(name), [key for key, _ in call.headers].index(name)
    before, after = call.headers[:index], call.headers[index + 1 :]
    named = [
        f"{name}-2",
        name.replace("-", "_"),
        name.removeprefix("X-"),
        f"{name} ",
        f" {name}",
        name.replace("Fal", ""),
    ]
    made: list[tuple[tuple[str, str], ...]] = [
        (),
        ((name, value), (name.lower(), value)),
        ((name, other.value(name)), (name, value)),
        ((name, value), (name, "")),
        ((rng.choice(named), value),),
        ((name, ""),),
        ((name, rng.choice([" ", "\t", "\n", "\0", '"', "\u00a0"]) + value),),
        ((name, value + rng.choice([" ", "\t", "\n", "\r\n", "\0", ",", ";", '"', "\u00a0"])),),
        ((name, f"{value},{other.value(name)}"),),
    ]
    if name != USER_ID:
        made += [((name, other.value(name) if other.value(name) != value else "0"),)]
    return replace(call, headers=before + rng.choice(made) + after)


def swap_headers(_: Random, call: Call, other: Call) -> Call:
    """All headers of another delivery."""
    return replace(call, headers=other.headers)


def name_another_request(rng: Random, call: Call, other: Call) -> Call:
    """fal signs a header that names another request than the body: the body is not about it."""
    return call.signed(rng.choice([FAL, FAL_OLD]), X_Fal_Webhook_Request_Id=other.value(REQUEST_ID))

"""True deliveries abused: sent elsewhere or later, signed by others or in other ways.

A true delivery at another true delivery's URL is no case here: MAC and signature are both good, and that it is about
another request is for the job's row to say.
"""

import base64
import hashlib
import hmac
import json
from dataclasses import replace

from shared.settings import WebhookSecret
from shared.webhook_urls import Target
from tests.forgeries.calls import (
    FAL,
    FAL_OLD,
    MISPLACED,
    NOW,
    REQUEST_ID,
    SECRET,
    SIGNATURE,
    SIGNED,
    STRANGER,
    TIMESTAMP,
    Call,
    Random,
    digest,
    encoded,
)
from tests.forgeries.damage import put

ORDER = 2**252 + 27742317777372353535851937790883648493
"""Of the group that Ed25519 signs in (RFC 8032)."""
SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
]
NOT_ONE = [
    "0",
    "2",
    "01",
    "+1",
    "%2B1",
    "-1",
    " 1",
    "1 ",
    "1.0",
    "1e0",
    "0x1",
    "\u0661",
    "\uff11",
    "1,1",
    "1000000",
    "",
    "1\n",
]


def another_account(rng: Random, call: Call, _: Call) -> Call:
    """fal signs for an account that is not ours."""
    return call.signed(X_Fal_Webhook_User_Id=rng.choice(["user_x", "USER_2AB3C4", "user_2ab3c4 ", "*", "user_2ab3c"]))


def replay(rng: Random, call: Call, other: Call) -> Call:
    """The delivery sent to another job, attempt or MAC."""
    attempt, mac = (part.partition("=")[2] for part in call.query.split("&"))
    other_mac = other.query.rpartition("=")[2]
    job_id = call.path.rpartition("/")[2]
    ours = Target(job_id, int(attempt))
    wrong = rng.choice(NOT_ONE) if attempt == "1" else str(int(attempt) - 1)
    keyless = WebhookSecret(url="", mac_key=rng.choice([" ", "K" * 64, "previous", encoded(bytes(FAL.verify_key))]))
    macs = [mac.upper(), other_mac, "0" * 64, mac[::-1], mac + mac, f"{mac},{mac}", ""]
    queries = [
        f"attempt={wrong}&mac={mac}",
        f"attempt={attempt}&attempt={attempt}&mac={mac}",
        f"attempt={attempt}",
        f"mac={mac}",
        "",
        f"attempt={attempt}&mac={rng.choice(macs)}",
        f"attempt={attempt}&mac={ours.mac(keyless.mac_key)}",
        f"attempt={attempt}&mac={hmac.new(b'', job_id.encode(), hashlib.sha256).hexdigest()}",
        f"attempt={attempt}&mac={Target(job_id, int(attempt) + 1).mac(SECRET.mac_key)}",
        f"attempt={attempt}&mac={hashlib.sha256(json.dumps([job_id, int(attempt)]).encode()).hexdigest()}",
    ]
    stem = call.path.removesuffix(job_id)
    ids = [
        "0" * 32,
        job_id[::-1],
        f"{job_id}/",
        f"{job_id}%00",
        "shared%23signing-keys",
        "",
        other.path.rpartition("/")[2],
    ]
    upper = [job_id.upper()] if job_id != job_id.upper() else []
    return rng.choice(
        [replace(call, query=rng.choice(queries)), replace(call, path=stem + rng.choice(ids + upper))],
    )


def spoil_time(rng: Random, call: Call, _: Call) -> Call:
    """Signed by fal too long ago or too far ahead, or in a form that fal does not write; or changed after signing."""
    stale = [sign * seconds for sign in (-1, 1) for seconds in (301, 302, 3600, 86_400, 10**9)]
    digits = str(NOW)
    arabic = digits.translate({ord("0") + value: 0x660 + value for value in range(10)})
    forms = [f"+{digits}", f" {digits}", f"{digits} ", f"{digits}.0", "1_700_000_000", "1.7e9", f"-{digits}", arabic]
    forms += [f"{digits}\n", "", hex(NOW), f"{NOW}000", "0" * 13 + digits, "9" * 400, "NaN", "now"]
    text = call.value(TIMESTAMP)
    unsigned = [str(int(text) + rng.choice([-1, 1, 60])), f"0{text}", f"+{text}", f"00{text}"]
    return rng.choice(
        [
            call.signed(X_Fal_Webhook_Timestamp=str(NOW + rng.choice(stale))),
            call.signed(X_Fal_Webhook_Timestamp=rng.choice(forms)),
            put(call, TIMESTAMP, rng.choice(unsigned)),
        ]
    )


def spoil_signature(rng: Random, call: Call, other: Call) -> Call:
    """A signature that is malleable, degenerate, made up, of another, or in another writing."""
    text = call.value(SIGNATURE)
    raw = bytes.fromhex(text)
    point, scalar = raw[:32], int.from_bytes(raw[32:], "little")
    small = bytes.fromhex(rng.choice(SMALL_ORDER))
    made = [
        point + (scalar + rng.randint(1, 14) * ORDER).to_bytes(32, "little"),
        point + (ORDER - scalar).to_bytes(32, "little"),
        point[:31] + bytes([point[31] ^ 128]) + raw[32:],
        point + bytes(32),
        small + bytes(32),
        small + raw[32:],
        raw[32:] + point,
        raw[::-1],
        bytes(64),
        b"\xff" * 64,
        rng.randbytes(64),
        hashlib.sha512(call.body).digest(),
    ]
    written = [
        other.value(SIGNATURE),
        f"0x{text}",
        f"{text},{text}",
        " ".join(text[place : place + 2] for place in range(0, 128, 2)),
        base64.b64encode(raw).decode(),
        f"v1a,{base64.b64encode(raw).decode()}",
        text.translate({ord("0") + value: 0xFF10 + value for value in range(10)}),
        text[:-1],
        text + "00",
    ]
    return put(call, SIGNATURE, rng.choice(written + [forged.hex() for forged in made]))


def confuse_algorithm(rng: Random, call: Call, _: Call) -> Call:
    """Signed with what is public, by a key that is not fal's, or by one that its document names under another kind."""
    message = "\n".join([*call.texts, digest(call.body)]).encode()
    public = bytes(rng.choice([FAL, FAL_OLD]).verify_key)
    secrets = [public, encoded(public).encode(), public.hex().encode(), SECRET.url.encode(), b""]
    mac = hmac.new(rng.choice(secrets), message, rng.choice(["sha512", "sha256"])).hexdigest()
    extra = rng.choice(["X-Fal-Webhook-Kid", "X-Fal-Webhook-Alg", "X-Fal-Webhook-Jwk", "Authorization"])
    added = (*call.headers, (extra, rng.choice(["none", "HS512", encoded(bytes(STRANGER.verify_key))])))
    return rng.choice(
        [
            put(call, SIGNATURE, mac),
            put(call, SIGNATURE, (mac * 2)[:128]),
            call.signed(STRANGER),
            call.signed(MISPLACED),
            replace(call, headers=added).signed(STRANGER),
            put(call, SIGNATURE, FAL.sign(rng.choice([call.body, digest(call.body).encode()])).signature.hex()),
            put(call, SIGNATURE, FAL.sign(message.replace(b"\n", rng.choice([b"", b".", b"\r\n"]))).signature.hex()),
        ]
    )


def shift_lines(rng: Random, call: Call, _: Call) -> Call:
    """What is signed is lines: they are shared out among the headers differently, also if fal has signed a newline."""
    request_id, user_id, timestamp = call.texts
    place = rng.randrange(1, len(request_id))
    doubled = call.signed(X_Fal_Webhook_Request_Id=f"{request_id}\n{user_id}")
    ours = {"X_Fal_Webhook_Request_Id": request_id, "X_Fal_Webhook_User_Id": f"{user_id}\n{user_id}"}
    return rng.choice(
        [
            doubled.with_values(**ours),
            doubled,
            call.signed(X_Fal_Webhook_User_Id=f"{user_id}\n{timestamp}").with_values(X_Fal_Webhook_User_Id=user_id),
            call.with_values(X_Fal_Webhook_Request_Id=f"{request_id}\n{user_id}", X_Fal_Webhook_User_Id=timestamp),
            call.with_values(
                X_Fal_Webhook_Request_Id=request_id[:place], X_Fal_Webhook_User_Id=request_id[place:] + "\n" + user_id
            ),
            call.with_values(
                X_Fal_Webhook_User_Id=f"{user_id}\n{timestamp}", X_Fal_Webhook_Timestamp=digest(call.body)
            ),
            call.with_values(X_Fal_Webhook_Timestamp=f"{timestamp}\n{digest(call.body)}"),
            put(call, REQUEST_ID, f"\n{request_id}"),
        ]
    )


def rewrite(rng: Random, call: Call, _: Call) -> Call:
    """The same delivery written in another way: not to be refused."""
    name = rng.choice(SIGNED)
    capitals = tuple((key.upper() if key == name else key, value) for key, value in call.headers)
    percent = "".join(f"%{ord(letter):02X}" if rng.random() < 0.5 else letter for letter in call.path[-32:])
    mixed = "".join(rng.choice([letter, letter.upper()]) for letter in call.value(SIGNATURE))
    return rng.choice(
        [
            put(call, SIGNATURE, call.value(SIGNATURE).upper()),
            put(call, SIGNATURE, mixed),
            replace(call, headers=capitals),
            replace(call, headers=tuple(reversed(call.headers))),
            replace(call, headers=(*call.headers[1:], ("X-Forwarded-For", "192.0.2.1"))),
            replace(call, query="&".join(reversed(call.query.split("&")))),
            replace(call, query=f"{call.query}&utm_source=fal"),
            replace(call, path=call.path[:-32] + percent),
            replace(call, wrapped=True),
        ]
    )

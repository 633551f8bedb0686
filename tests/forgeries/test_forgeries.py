"""Mutated deliveries, very many: the verifier refuses each, and a verifier with a hole is found out."""

import base64
import hashlib
import hmac
import json
import re
from collections import Counter
from typing import Any

import pytest
from nacl.signing import VerifyKey

import shared.deliveries
import shared.signing_keys
import shared.webhook_urls
from tests.forgeries.calls import ACCOUNT, judge, true_calls
from tests.forgeries.cases import MUTATIONS, judged, run

COUNT = 20_000
SEED = "ci"


def test_true_deliveries_are_taken() -> None:
    """What the cases are made of is good, with the account pinned or not."""
    for takes in (judge(ACCOUNT), judge("")):
        assert [call for call in true_calls(SEED) if not takes(call)] == []


def test_mutated_deliveries_are_refused() -> None:
    """Not one of them is taken; the few that say the same in another writing are, and are known beforehand."""
    tally = run(SEED, range(COUNT))
    assert tally.wrong == []
    assert 0 < tally.identical < COUNT * 0.03


def test_a_case_is_made_again_by_its_number() -> None:
    """Seed and number give the same call, whichever cases were made before it."""
    ((alone, _),) = judged(SEED, [77])
    assert [case for case, _ in judged(SEED, range(78))][77] == alone


def test_every_mutation_is_tried() -> None:
    """Each way of spoiling a delivery has its share of the cases."""
    names = Counter(case.name.partition(",")[0] for case, _ in judged(SEED, range(2_000)))
    assert {mutation.__name__ for mutation in MUTATIONS} <= set(names)


def _skip_mac(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hmac, "compare_digest", lambda *_: True)


def _leave_attempt_out(monkeypatch: pytest.MonkeyPatch) -> None:
    really = shared.webhook_urls.Target.mac
    monkeypatch.setattr(shared.webhook_urls.Target, "mac", lambda self, key: really(type(self)(self.job_id, 1), key))


def _skip_timestamp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared.deliveries, "TOLERANCE", 10**12)


def _tolerate_a_second_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared.deliveries, "TOLERANCE", 301)


def _rewrite_before_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    def message(*texts: Any) -> bytes:
        *heads, body = texts
        try:
            body = json.dumps(json.loads(body), sort_keys=True).encode()
        except ValueError:
            body = b""
        return "\n".join([*heads, hashlib.sha256(body).hexdigest()]).encode()

    monkeypatch.setattr(shared.deliveries, "signed_message", message)


def _take_any_key(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(document: str) -> list[VerifyKey]:
        points = [base64.urlsafe_b64decode(entry["x"] + "=") for entry in json.loads(document)["keys"]]
        return [VerifyKey(point) for point in points]

    monkeypatch.setattr(shared.signing_keys, "read_jwks", read)


def _take_any_text(monkeypatch: pytest.MonkeyPatch) -> None:
    really = re.fullmatch

    def match(pattern: str, text: str) -> Any:
        return really({r"[ -~]+": r"(?s).+", r"[0-9]{1,12}": r"\s*[+]?[\d_]+\s*"}.get(pattern, pattern), text)

    monkeypatch.setattr(re, "fullmatch", match)


def _forget_the_body_s_request(monkeypatch: pytest.MonkeyPatch) -> None:
    really = shared.deliveries._load  # noqa: SLF001 - a hole is made inside

    def load(target: Any, _: str, user_id: str, body: bytes) -> Any:
        return really(target, json.loads(body)["request_id"], user_id, body)

    monkeypatch.setattr(shared.deliveries, "_load", load)


HOLES = {
    "skips the MAC": _skip_mac,
    "leaves the attempt out of the MAC": _leave_attempt_out,
    "skips the timestamp": _skip_timestamp,
    "tolerates a second more": _tolerate_a_second_more,
    "writes the body anew before hashing": _rewrite_before_hashing,
    "takes any kind of key": _take_any_key,
    "takes any text": _take_any_text,
    "forgets which request the body is about": _forget_the_body_s_request,
}


@pytest.mark.parametrize("hole", HOLES)
def test_a_verifier_with_a_hole_is_found_out(monkeypatch: pytest.MonkeyPatch, hole: str) -> None:
    """Each hole lets at least one of the cases through."""
    HOLES[hole](monkeypatch)
    assert any(taken and not case.is_identical for case, taken in judged(SEED, range(COUNT)))

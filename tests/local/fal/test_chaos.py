"""Faults for all requests, by chance and by turn."""

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.local.fal.conftest import Fal

LOST = {"submit": {"answer": "nginx_502"}}
REFUSED = {"submit": {"answer": 429}}


def follow(fal: "Fal", *rules: dict[str, Any], seed: int = 7) -> None:
    """Begin that plan."""
    fal.http.post("/emulator/chaos", json={"seed": seed, "rules": rules}).raise_for_status()


def statuses(fal: "Fal", count: int) -> list[int]:
    """Submit so often, and give what was answered."""
    return [fal.post().status_code for _ in range(count)]


def test_a_rule_applies_by_turn(fal: "Fal") -> None:
    """Every third submit, from when the plan began."""
    fal.post()
    follow(fal, {"every": 3, "script": LOST})
    assert statuses(fal, 7) == [200, 200, 502, 200, 200, 502, 200]


def test_a_rule_applies_by_chance_and_the_seed_decides(fal: "Fal") -> None:
    """About a fifth of many; the same seed strikes the same, and another seed others."""
    drawn = []
    for seed in (7, 7, 8):
        follow(fal, {"share": 0.2, "script": LOST}, seed=seed)
        drawn.append(statuses(fal, 300))
    assert drawn[0] == drawn[1] != drawn[2]
    assert 40 < drawn[0].count(502) < 80


def test_of_two_rules_that_apply_the_first_wins(fal: "Fal") -> None:
    """And what a rule draws does not depend on the others."""
    follow(fal, {"every": 2, "script": REFUSED}, {"share": 0.3, "script": LOST})
    both = statuses(fal, 100)
    follow(fal, {"share": 0.3, "script": LOST})
    alone = statuses(fal, 100)
    assert both[1::2] == [429] * 50
    assert both[::2] == alone[::2]
    assert 502 in both


def test_a_script_in_the_line_goes_before_the_rules(fal: "Fal") -> None:
    """It is not counted as a turn either."""
    follow(fal, {"every": 1, "script": LOST})
    fal.script({"submit": {"answer": 409}})
    assert statuses(fal, 2) == [409, 502]


def test_a_rule_may_hold_any_script(fal: "Fal") -> None:
    """Here every delivery comes twice, and every file is gone."""
    follow(fal, {"share": 1, "script": {"deliveries": {"copies": 2}, "files": {"answer": 404}}})
    job = fal.submit(params={"fal_webhook": "https://hooks.example/fal"})
    fal.emulator.advance(60)
    assert len(fal.sent) == 2
    assert fal.http.get(fal.http.get(job["response_url"]).json()["images"][0]["url"]).status_code == 404


def test_a_plan_is_shown_and_ended(fal: "Fal") -> None:
    """An empty plan ends it, and so does a reset."""
    follow(fal, {"every": 1, "script": LOST})
    assert fal.http.get("/emulator/chaos").json() == {"seed": 7, "rules": [{"every": 1, "script": LOST}]}
    fal.http.post("/emulator/chaos", json={"rules": []})
    assert statuses(fal, 1) == [200]
    follow(fal, {"every": 1, "script": LOST})
    fal.http.post("/emulator/reset")
    assert statuses(fal, 1) == [200]
    assert fal.http.get("/emulator/chaos").json() == {}


@pytest.mark.parametrize(
    ("plan", "place"),
    [
        ({"rules": [{"script": LOST}]}, ["rules", 0]),
        ({"rules": [{"share": 0.5, "every": 2, "script": LOST}]}, ["rules", 0]),
        ({"rules": [{"share": 1.5, "script": LOST}]}, ["rules", 0, "share"]),
        ({"rules": [{"every": 0, "script": LOST}]}, ["rules", 0, "every"]),
        ({"rules": [{"every": 2}]}, ["rules", 0, "script"]),
        ({"rules": [{"every": 2, "script": {"submti": {}}}]}, ["rules", 0, "script", "submti"]),
        ({"seeds": 1}, ["seeds"]),
    ],
)
def test_a_wrong_plan_is_refused_and_names_the_field(fal: "Fal", plan: dict[str, object], place: list[object]) -> None:
    """The plan in force stays."""
    follow(fal, {"every": 1, "script": LOST})
    answer = fal.http.post("/emulator/chaos", json=plan)
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, place)
    assert statuses(fal, 1) == [502]

"""Every reason and error type: named in one place, used, and in one table of docs/api.md with what it means."""

import ast
import re
from pathlib import Path

import pytest

from local.fal.faults import INFRASTRUCTURE
from shared.completion import NOT_STARTED, UNREAD_INPUT
from shared.image_formats import MAX_INPUT_PIXELS
from shared.reasons import PAID_AND_LOST, PARKING, Reason

ROOT = Path(__file__).parent.parent
ROW = re.compile(r"^\| (`[^|]+`) \| (reason|error|both) \| (never|perhaps|always) \| (.+) \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def table() -> dict[str, tuple[str, str, str]]:
    """Where each name may be, whether it was paid, and what it means."""
    rows = ROW.findall((ROOT / "docs/api.md").read_text())
    named = [(name, row[1:]) for row in rows for name in re.findall(r"`(\w+)`", row[0])]
    assert len({name for name, _ in named}) == len(named)
    return dict(named)


def test_the_table_has_each_of_our_reasons_and_fal_s_documented_types(table: dict[str, object]) -> None:
    """None is missing, and whatever else is in the table is a type that fal documents."""
    ours = {reason.value for reason in Reason}
    assert ours <= table.keys()
    assert set(INFRASTRUCTURE) | NOT_STARTED | {UNREAD_INPUT} <= table.keys()
    others = table.keys() - ours - set(INFRASTRUCTURE)
    assert others == {
        *("content_policy_violation", "downstream_service_error", "downstream_service_unavailable"),
        *("face_detection_error", "feature_not_supported", "file_download_error", "generation_timeout"),
        *("image_load_error", "image_too_small", "internal_server_error", "no_media_generated"),
    }


def test_the_table_says_what_was_paid(table: dict[str, tuple[str, str, str]]) -> None:
    """What is counted as paid and lost is always paid, and what is parked never."""
    assert {name for name, row in table.items() if row[1] == "always"} == set(PAID_AND_LOST)
    assert {table[reason][1] for reason in PARKING} == {"never"}
    assert {table[name][0:2] for name in NOT_STARTED} == {("both", "never")}
    assert f"{MAX_INPUT_PIXELS:,}" in table["image_too_large"][2]


def test_each_reason_is_used_and_none_is_written_out() -> None:
    """The code names its reasons by the one list: a literal in their place would be in no table."""
    used: set[str] = set()
    for file in (ROOT / "shared").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Reason":
                used |= {node.attr} if file.name != "reasons.py" else set()
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"JobError", "UploadRejectedError"}:
                kinds = [word.value for word in node.keywords if word.arg == "type"] or node.args[:1]
                assert not any(isinstance(kind, ast.Constant) for kind in kinds), f"{file.name}:{node.lineno}"
    assert used == set(Reason.__members__)

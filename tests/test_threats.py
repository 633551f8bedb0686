"""The threat model names tests: each of them exists."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
TESTS = ROOT / "tests"
SHOWN_BY = re.compile(r"`(test_\w+|test_[\w*]+\.py|tests/\w+)`|\b(\w+Alarm)\b")


def test_what_shows_each_answer_to_a_threat_exists() -> None:
    """A row names tests, files or folders of tests, alarms, or says in bold that nothing stops it."""
    rows = [line.split(" | ") for line in (ROOT / "docs/threats.md").read_text().splitlines() if line.startswith("| ")]
    code = "".join(file.read_text() for file in TESTS.rglob("*.py"))
    template = (ROOT / "template.yaml").read_text()
    assert len(rows) > 20
    for *_, stops, shown_by in rows[2:]:
        named = SHOWN_BY.findall(shown_by)
        assert named or "**not stopped" in stops or "simulation" in shown_by, stops
        for test, alarm in named:
            if alarm:
                assert f"  {alarm}:\n" in template, alarm
            elif test.endswith(".py"):
                assert list(TESTS.rglob(test)), test
            elif test.startswith("tests/"):
                assert (ROOT / test).is_dir(), test
            else:
                assert f"def {test}(" in code, test

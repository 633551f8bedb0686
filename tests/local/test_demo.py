"""The demo, on a stack in this process."""

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from local import demo
from local.demo import LOSSES, choose_fal, run_demo
from local.page import write_page
from local.progress import Lines, Table
from local.settings import LocalError, Ports, free_ports
from local.stack import Stack


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A stack for the demos of this module."""
    ports = Ports.read({}, defaults=free_ports())
    with Stack(ports, choose_fal({}, ports)) as running:
        yield running
    running.log.unlink()


def requests_at(stack: Stack) -> int:
    """How many requests fal has taken, each of which would be paid."""
    return len(httpx.get(f"{stack.fal_url}/emulator/requests").json()["requests"])


def test_the_demo_makes_pictures_and_a_page(stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All six endpoints have made a picture, and the page shows each next to its photo."""
    before = requests_at(stack)
    assert run_demo(stack, tmp_path) == 0
    assert requests_at(stack) == before + 7
    shown = capsys.readouterr().out
    assert "7 jobs on 6 endpoints succeeded" in shown
    assert (tmp_path / "index.html").as_uri() in shown
    page = (tmp_path / "index.html").read_text()
    pictures = {path.name for path in tmp_path.iterdir()} - {"index.html"}
    assert set(re.findall(r'src="([^"]+)"', page)) == pictures
    assert "before-coffee.png" in pictures
    assert "coffee-studio-shot.png" in pictures
    assert (tmp_path / "before-coffee.png").read_bytes() != (tmp_path / "coffee-studio-shot.png").read_bytes()
    assert "<strong>simulated</strong>" in page
    assert "fal-ai/flux-pro/kontext/max/text-to-image" in page
    for what in LOSSES:
        assert page.count(f"Recovered: {what}.") == shown.count(f"{what}. That was on purpose.") == 1
    for status in ("queued", "succeeded"):
        assert re.search(rf"\d s +sketch/chelsea.png +kontext +{status}", shown)


def test_a_job_that_fails_is_named(stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With an account that is locked nothing succeeds in time: the demo says so and exits with 1."""
    settings = f"{stack.fal_url}/emulator/settings"
    httpx.patch(settings, json={"locked": True}).raise_for_status()
    try:
        assert run_demo(stack, tmp_path, deadline=2) == 1
    finally:
        httpx.patch(settings, json={"locked": False}).raise_for_status()
    said = capsys.readouterr().err
    assert re.search(r"POST /jobs lighthouse: job \w+ is accepted: provider_locked", said)
    assert str(stack.log) in said
    assert list(tmp_path.iterdir()) == []


def test_a_post_that_is_refused_is_named(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that the API refuses ends the demo with the API's own words."""
    monkeypatch.setattr(demo, "UPLOADS", {})
    monkeypatch.setattr(demo, "POSTS", {"empty": {"prompt": ""}})
    with pytest.raises(LocalError, match="POST /jobs for empty answered 422"):
        run_demo(stack, tmp_path)


def test_an_upload_without_preset_is_named(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When presets.yaml no longer has the demo's prefixes, the demo says so."""
    monkeypatch.setattr(demo, "UPLOADS", {"nowhere/coffee.png": "coffee.png"})
    with pytest.raises(LocalError, match=r"no preset applies to the demo's upload nowhere/coffee\.png"):
        run_demo(stack, tmp_path)


def edit(**job: Any) -> demo.Edit:
    """An edit as the demo has it in the end."""
    output = {"key": "jobs/shop/<1>-0.jpg", "width": 10, "height": 20, "content_type": "image/jpeg"}
    moments = {"created_at": "2026-01-01T00:00:00.000Z", "settled_at": "2026-01-01T00:00:02.500Z"}
    told = {"endpoint": "fal-ai/flux-pro/kontext", "outputs": [output], "seed": "7", "upload": None, "preset": None}
    whole = told | moments | job
    return demo.Edit("a-<b>", "title", ["x.png"], 'Say "hi" & <go>', "1", whole, ["a.jpg"])


def test_the_page_escapes_what_it_shows(tmp_path: Path) -> None:
    """A prompt is text on the page, whatever it holds."""
    page = write_page([edit()], tmp_path, simulated=False).read_text()
    assert "Say &quot;hi&quot; &amp; &lt;go&gt;" in page
    assert "<b>" not in page
    assert "<go>" not in page
    assert "simulated" not in page
    assert "10 × 20 JPEG" in page  # noqa: RUF001 - the sign for sizes
    assert "2.5 s" in page
    assert "jobs/shop/&lt;1&gt;-0.jpg" in page


def test_the_page_says_what_it_took(tmp_path: Path) -> None:
    """Each card has the price, the seed, the outputs' key and what began the job; all together have their price."""
    begun = {"upload": {"bucket": "b", "key": "products/a.png"}, "preset": "studio-shot"}
    page = write_page(
        [edit(**begun), edit(endpoint="fal-ai/flux-pro/kontext/max")], tmp_path, simulated=True
    ).read_text()
    for told in ("$0.04", "$0.08", "seed 7", "upload of products/a.png, preset studio-shot", "<span>posted</span>"):
        assert told in page
    assert "would cost $0.12" in page
    assert "make presets" in page


@pytest.mark.parametrize(
    ("job", "reason"),
    [
        (
            {"status": "failed", "error": {"type": "file_too_large", "message": "too large"}},
            "file_too_large: too large",
        ),
        ({"status": "accepted", "error": None, "reason": "retry"}, "is accepted: retry"),
        ({"status": "queued", "error": None, "reason": None}, "is queued: not finished in time"),
    ],
)
def test_the_reason_of_a_failure(job: dict[str, Any], reason: str) -> None:
    """What is said of a job that did not succeed is the job's own reason."""
    assert reason in demo._reason(edit(**job))  # noqa: SLF001 - its words are what counts


def test_an_upload_that_became_no_job() -> None:
    """An upload that nothing came of is named as well."""
    assert "became no job" in demo._reason(demo.Edit("a", "a", [], ""))  # noqa: SLF001 - its words are what counts


def test_lines_show_changes_only(capsys: pytest.CaptureFixture[str]) -> None:
    """In a pipe, a job has a line for each of its changes."""
    lines = Lines()
    for status in ("queued", "queued", "succeeded"):
        lines.show([("a", "kontext", status), ("b", "kontext", "queued")])
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[2:] for line in shown] == [
        ["a", "kontext", "queued"],
        ["b", "kontext", "queued"],
        ["a", "kontext", "succeeded"],
    ]


def test_the_table_is_written_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a terminal, the table takes the place of the last one, which may have had fewer lines."""
    terminal = io.StringIO()
    monkeypatch.setattr("sys.stdout", terminal)
    table = Table()
    table.show([("a", "kontext", "queued")])
    assert "\033[1F" not in terminal.getvalue()
    table.show([("a", "kontext", "succeeded"), ("b", "kontext", "queued")])
    assert terminal.getvalue().count("\033[1F") == 1
    assert "\033[32msucceeded\033[0m" in terminal.getvalue()

"""`make presets`: what it says of the file, and of an upload."""

from pathlib import Path

import pytest

import local.presets
from local.presets import describe_upload, main
from shared.preset_file import load_presets
from shared.settings import PRESETS_FILE


def said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *keys: str) -> tuple[int, str, str]:
    """The exit code, and what was printed and complained of."""
    monkeypatch.setattr("sys.argv", ["local.presets", *keys])
    code = main()
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_each_preset_has_its_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name, its uploads, and what an edit costs: twice as much with the max tier."""
    code, shown, _ = said(capsys, monkeypatch)
    assert code == 0
    presets = load_presets(PRESETS_FILE)
    assert len([line for line in shown.splitlines() if line.startswith("  ")]) == len(presets)
    (line,) = [line for line in shown.splitlines() if "studio-shot" in line]
    assert "products/" in line
    assert "$0.04" in line
    assert "$0.08" in shown


def test_an_upload_s_jobs_are_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The preset, the price, and where the outputs will be."""
    code, shown, _ = said(capsys, monkeypatch, "products/a.jpg")
    assert (code, shown.splitlines()[0]) == (0, "products/a.jpg starts 1 job:")
    assert shown.splitlines()[2] == "  studio-shot  $0.04  studio-shot/products/a/{job_id}-{index}.{ext}"


@pytest.mark.parametrize(
    ("key", "lines"),
    [
        ("Products/a.jpg", ["no preset applies", "did you mean products/a.jpg? It starts studio-shot."]),
        ("elsewhere/a.jpg", ["no preset applies"]),
        ("products/", ["a folder"]),
        ("products/.DS_Store", ["a file that a system leaves beside others"]),
    ],
)
def test_why_an_upload_starts_nothing(key: str, lines: list[str]) -> None:
    """The function's own reason, and a key that was meant perhaps."""
    shown = list(describe_upload(load_presets(PRESETS_FILE).values(), key))
    assert shown[0] == f"{key} starts nothing: {lines[0]}"
    assert shown[1:] == lines[1:]


def test_all_faults_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file with faults is an error that names each with its line."""
    file = tmp_path / "presets.yaml"
    file.write_text("presets:\n  a:\n    teir: pro\n    arguments: {prompt: p}\n  b:\n    uploads: [{prefix: /x}]\n")
    monkeypatch.setattr(local.presets, "PRESETS_FILE", file)
    code, shown, complained = said(capsys, monkeypatch)
    assert (code, shown) == (1, "")
    assert "presets.yaml:3: presets.a.teir: unknown field (did you mean tier?)" in complained
    assert "presets.yaml:6: presets.b.uploads.0.prefix" in complained

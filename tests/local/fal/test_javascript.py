"""fal's JavaScript client, unchanged, against the emulator; where there is no Node these are left out."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from local.fal.settings import KONTEXT_ENDPOINTS
from tests.local.fal.test_serving import ROOT, finish, serve

SCRIPT = Path(__file__).parent / "javascript" / "client_script.mjs"
INSTALLED = ROOT / ".tools" / "javascript" / "package.json"

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    """What the client told."""
    node = shutil.which("node")
    if node is None or not (INSTALLED.parent / "node_modules").exists():
        pytest.skip("there is no Node here, or `make test-long` has not installed fal's client for it")
    served = serve()
    try:
        done = subprocess.run(  # noqa: S603 - our own script
            [node, str(SCRIPT), served.url, str(INSTALLED), *KONTEXT_ENDPOINTS],
            input=(ROOT / "events" / "photos" / "coffee.webp").read_bytes(),
            capture_output=True,
            timeout=120,
            check=False,
        )
    finally:
        finish(served)
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("endpoint", KONTEXT_ENDPOINTS)
def test_every_verb_works(endpoint: str, report: dict[str, Any]) -> None:
    """Submit, status, result, subscribe, run and cancel, on each endpoint: a picture, and a refusal once cancelled."""
    tried = report["tried"][endpoint]
    assert tried["status"] == "COMPLETED"
    for verb in ("subscribed", "result", "ran"):
        (image,) = tried[verb]["images"]
        assert image["content_type"] == "image/jpeg"
        assert image["url"].startswith("http://127.0.0.1:")
    assert tried["afterCancel"] == 499
    assert set(report["states"]) <= {"IN_QUEUE", "IN_PROGRESS", "COMPLETED"}


def test_files_are_uploaded_whole_and_in_parts(report: dict[str, Any]) -> None:
    """A name beyond ASCII makes a URL that is one; 100 MB go in ten parts, and come back as they were."""
    assert report["small"]["same"]
    assert report["small"]["url"].isascii()
    assert report["large"]["same"]

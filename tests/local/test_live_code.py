"""Code and presets that are changed while the stack runs are used within seconds, and cost nobody an answer."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from local.aws import session
from local.docker import find_docker
from local.settings import ROOT, LocalError
from tests.artifact.folders import copy_project
from tests.local.test_end_to_end import TOKEN, Running, is_open, launched_in, wait_for

pytestmark = pytest.mark.long

MANY = 50
CHANGES = 3


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project, to be edited."""
    copy_project(tmp_path / "project")
    return tmp_path / "project"


@pytest.fixture
def running(tmp_path: Path, project: Path) -> Iterator[Running]:
    """The copy's stack."""
    with launched_in(project, tmp_path, PYTHONPATH=str(project)) as stack:
        wait_for(lambda: is_open(stack.ports["API_PORT"]) and stack.get("/health").is_success, "the API")
        hurry(stack)
        yield stack


def hurry(stack: Running) -> None:
    """Have fal take no time."""
    settings = f"http://127.0.0.1:{stack.ports['FAL_PORT']}/emulator/settings"
    httpx.patch(settings, json={"queue_seconds": 0.1, "run_seconds": 0.1, "megapixels": 0.05}).raise_for_status()


def edit(file: Path, old: str, new: str) -> None:
    """Change a file as an editor does."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def said(running: Running, text: str) -> bool:
    """Whether the stack has said something."""
    return text in running.output.read_text()


def test_no_answer_is_lost_while_code_changes(running: Running, project: Path) -> None:
    """Of 50 posts and 50 uploads during three changes each makes one job that succeeds, and no answer is a 5xx."""
    change_code_under_load(running, project, every=0.1)


def test_no_answer_is_lost_while_code_changes_in_containers(tmp_path: Path, project: Path) -> None:
    """The same holds for containers; what `make invoke` builds meanwhile is another folder, and no stack's code."""
    try:
        find_docker()
    except LocalError as error:
        pytest.skip(f"runs where Docker is: {error}")
    (project / ".tools").symlink_to(ROOT / ".tools")
    with launched_in(project, tmp_path, "--engine", "sam", PYTHONPATH=str(project)) as stack:
        wait_for(lambda: said(stack, "is ready"), "the API", 180)
        hurry(stack)
        change_code_under_load(stack, project, every=0.5)


def change_code_under_load(running: Running, project: Path, *, every: float) -> None:
    """Post and upload 50 times each, a call after so many seconds, while the code changes three times."""
    answers: list[httpx.Response] = []

    def post() -> None:
        for number in range(MANY):
            answers.append(httpx.post(f"{running.api}/jobs", json={"prompt": f"{number}"}, headers=TOKEN, timeout=60))
            time.sleep(every)

    def upload() -> None:
        with closing(session().client("s3", endpoint_url=running.aws)) as s3:
            for number in range(MANY):
                s3.upload_file(str(ROOT / "events/photos/coffee.png"), "darkroom-inputs", f"products/{number}.png")
                time.sleep(every)

    threads = [threading.Thread(target=work) for work in (post, upload)]
    for thread in threads:
        thread.start()
    word = "ok"
    for number in range(CHANGES):
        edit(project / "functions/jobs.py", f'"status": "{word}"', f'"status": "ok {number}"')
        word = f"ok {number}"
        wait_for(lambda: running.get("/health").json()["status"] == word, f"the change {word}", 60)  # noqa: B023 - at once
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [202] * MANY

    def settled() -> list[str] | None:
        jobs = running.get("/jobs?limit=100").json()["jobs"]
        statuses = [job["status"] for job in jobs]
        return statuses if len(jobs) == 2 * MANY and set(statuses) <= {"succeeded", "failed"} else None

    assert wait_for(settled, "the end of all jobs", 180) == ["succeeded"] * 2 * MANY
    requests = httpx.get(f"http://127.0.0.1:{running.ports['FAL_PORT']}/emulator/requests").json()["requests"]
    assert len(requests) == 2 * MANY
    assert running.output.read_text().count("functions/jobs.py changed, and is used from now on") == CHANGES


def test_code_that_cannot_be_imported_is_not_used(running: Running, project: Path) -> None:
    """A slip is named, what ran before goes on running, and its mending is used."""
    edit(project / "functions/jobs.py", "READING = [", "READING = ([")
    wait_for(lambda: said(running, "functions/jobs.py changed, and is not used: "), "the complaint")
    assert running.get("/health").json() == {"status": "ok"}
    edit(project / "functions/jobs.py", "READING = ([", "READING = [")
    wait_for(lambda: said(running, "functions/jobs.py changed, and is used from now on"), "the mending")
    assert running.get("/health").json() == {"status": "ok"}


def test_presets_are_read_again(running: Running, project: Path) -> None:
    """A new preset may be posted within seconds; a file with a fault is named, and the presets stay as they were."""
    presets = project / "presets.yaml"
    edit(presets, "  studio-shot:", "  studio-shoot:")
    body = {"preset": "studio-shoot", "image_url": "products/a.png"}
    with closing(session().client("s3", endpoint_url=running.aws)) as s3:
        s3.upload_file(str(ROOT / "events/photos/coffee.png"), "darkroom-inputs", "products/a.png")

    def post() -> int:
        return httpx.post(f"{running.api}/jobs", content=json.dumps(body), headers=TOKEN, timeout=60).status_code

    wait_for(lambda: post() == 202, "the new preset")
    edit(presets, "tier: pro", "teir: pro")
    wait_for(lambda: said(running, "presets.yaml changed, and is not used: presets.yaml:"), "the complaint")
    assert "did you mean tier?" in running.output.read_text()
    assert post() == 202

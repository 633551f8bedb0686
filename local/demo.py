"""The demo: real photos go into the bucket and the API, edited pictures come out, and a page shows both."""

import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

from local.aws import session
from local.page import write_page
from local.progress import Lines, Progress, Row, Table
from local.settings import ASK_SECONDS, ROOT, Fal, LocalError, Ports
from local.stack import Stack
from shared.jobs import Upload
from shared.preset_file import load_presets
from shared.presets import Preset
from shared.settings import PRESETS_FILE

PHOTOS = ROOT / "events" / "photos"
FOLDER = ROOT / "demo-output"
DEADLINE = 120
POLL_SECONDS = 0.2
SETTLED = {"succeeded", "failed", "cancelled"}

UPLOADS = {
    "products/coffee.png": "coffee.png",
    "sketch/chelsea.png": "chelsea.png",
    "claymation/rocket.jpg": "rocket.jpg",
}
"""The key of each upload, whose prefix is a preset's, and its photo."""
POSTS: dict[str, dict[str, Any]] = {
    "cat-and-coffee": {
        "prompt": "Put the cat from the second image next to the cup in the first",
        "image_urls": ["products/coffee.png", "sketch/chelsea.png"],
        "tier": "pro",
    },
    "rocket-over-coffee": {
        "prompt": "Let the rocket from the first image rise out of the cup in the second",
        "image_urls": ["claymation/rocket.jpg", "products/coffee.png"],
        "tier": "max",
    },
    "lighthouse": {
        "prompt": "A lighthouse in a snowstorm at night, oil painting with thick brush strokes",
        "aspect_ratio": "16:9",
        "tier": "pro",
    },
    "tiger-eye": {"preset": "tiger-eye"},
}
"""The bodies that are posted; with the uploads, each of the six endpoints has its turn."""
LOSSES: dict[str, dict[str, Any]] = {
    "the reply to its request was lost, and the webhook told whose it was": {
        "submit": {"answer": "closed", "accepted": True}
    },
    "its webhook was lost, and asking fal finished it": {"deliveries": {"lost": True}},
}
"""What goes wrong on purpose, each for one job, and the script of the emulator that has it so."""


@dataclass
class Edit:
    """One job of the demo: what it is called, its photos, and the job as the API last showed it."""

    name: str
    title: str
    photos: list[str]
    prompt: str
    job_id: str | None = None
    job: dict[str, Any] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    recovered: str = ""

    @property
    def status(self) -> str:
        """Where it stands; an upload that is not a job yet is on its way to become one."""
        return str(self.job.get("status", "uploaded"))

    @property
    def endpoint(self) -> str:
        """The endpoint without what all have in common."""
        return str(self.job.get("endpoint", "")).removeprefix("fal-ai/flux-pro/")


def choose_fal(environment: Mapping[str, str], ports: Ports) -> Fal:
    """The fal of a demo: a key that happens to be set is not spent on it, and what got lost is soon asked for."""
    free = {} if environment.get("FAL_QUEUE_URL") else {"FAL_KEY": ""}
    fal = Fal.choose({**environment, **free}, ports)
    return replace(fal, parameters={**fal.parameters, "PollSeconds": str(ASK_SECONDS)})


def run_demo(stack: Stack, folder: Path = FOLDER, deadline: float = DEADLINE) -> int:
    """Make the pictures and the page, and give the exit code.

    Raises:
        LocalError: the demo itself cannot be carried out.
    """
    began = time.monotonic()
    headers = {"Authorization": f"Bearer {stack.token}"}
    with httpx.Client(base_url=stack.api_url, headers=headers, trust_env=False, timeout=30) as api:
        progress: Progress = Table() if sys.stdout.isatty() else Lines()
        if stack.fal.emulated:
            _call_emulator(stack, "POST", "scripts", list(LOSSES.values()))
        edits = _upload(stack)
        progress.show(_rows(edits))
        edits += [_post(api, name, body) for name, body in POSTS.items()]
        _follow(api, edits, progress, began + deadline)
        seconds = time.monotonic() - began
        if wrong := [edit for edit in edits if edit.status != "succeeded"]:
            for edit in wrong:
                print(f"{edit.title}: {_reason(edit)}", file=sys.stderr)
            print(f"{len(wrong)} of {len(edits)} jobs did not succeed; the log is {stack.log}", file=sys.stderr)
            return 1
        if stack.fal.emulated:
            _tell_recoveries(stack, edits)
        folder.mkdir(exist_ok=True)
        _download(edits, folder)
    page = write_page(edits, folder, simulated=stack.fal.emulated)
    endpoints = len({edit.endpoint for edit in edits})
    print(f"\n{len(edits)} jobs on {endpoints} endpoints succeeded in {seconds:.1f} s.\n")
    if stack.fal.emulated:
        for edit in edits:
            if edit.recovered:
                print(f"{edit.title}: {edit.recovered}. That was on purpose.")
        print("The pictures are simulated: an emulator stands in for fal.\n")
    print(f"  pictures          {folder}")
    print(f"  before and after  {page.as_uri()}\n")
    return 0


def _upload(stack: Stack) -> list[Edit]:
    """Put the photos into the inputs bucket; each makes a job for every preset that applies to it."""
    presets = load_presets(PRESETS_FILE)
    bucket = stack.template.functions["SubmitFromUpload"].environment["INPUTS_BUCKET"]
    edits = []
    with closing(session().client("s3", endpoint_url=stack.aws_url)) as s3:
        for key, photo in UPLOADS.items():
            edits += list(_edits_of(presets, Upload(bucket=bucket, key=key, version=""), photo))
            s3.upload_file(str(PHOTOS / photo), bucket, key)
    return edits


def _edits_of(presets: dict[str, Preset], upload: Upload, photo: str) -> Iterator[Edit]:
    applying = [preset for preset in presets.values() if preset.applies_to(upload)]
    if not applying:
        raise LocalError(f"presets.yaml: no preset applies to the demo's upload {upload.key}")
    for preset in applying:
        stem = Path(upload.key).stem
        yield Edit(f"{stem}-{preset.name}", upload.key, [photo], str(preset.arguments.get("prompt", "")))


def _post(api: httpx.Client, name: str, body: dict[str, Any]) -> Edit:
    answer = api.post("/jobs", json=body)
    if answer.status_code != httpx.codes.ACCEPTED:
        raise LocalError(f"POST /jobs for {name} answered {answer.status_code}: {answer.text}")
    job = answer.json()
    photos = [UPLOADS[key] for key in body.get("image_urls", [])]
    preset = load_presets(PRESETS_FILE).get(body.get("preset", ""))
    prompt = body.get("prompt") or (preset.arguments.get("prompt", "") if preset else "")
    return Edit(name, f"POST /jobs {name}", photos, prompt, job["job_id"], job)


def _rows(edits: list[Edit]) -> list[Row]:
    return [(edit.title, edit.endpoint, edit.status) for edit in edits]


def _follow(api: httpx.Client, edits: list[Edit], progress: Progress, deadline: float) -> None:
    """Show each change of each job until all are settled or the deadline (time.monotonic) is over."""
    while True:
        answer = api.get("/jobs", params={"limit": 100})
        if answer.status_code != httpx.codes.OK:
            raise LocalError(f"GET /jobs answered {answer.status_code}: {answer.text}")
        for job in answer.json()["jobs"]:
            for edit in edits:
                if _is_of(job, edit):
                    edit.job, edit.job_id = job, job["job_id"]
        progress.show(_rows(edits))
        if all(edit.status in SETTLED for edit in edits) or time.monotonic() > deadline:
            return
        time.sleep(POLL_SECONDS)


def _is_of(job: dict[str, Any], edit: Edit) -> bool:
    if edit.job_id is not None or not job["upload"]:
        return bool(job["job_id"] == edit.job_id)
    return bool(job["upload"]["key"] == edit.title and edit.name == f"{Path(edit.title).stem}-{job['preset']}")


def _reason(edit: Edit) -> str:
    if edit.job_id is None:
        return "the upload became no job in time"
    error = edit.job.get("error") or {}
    what = f"{error['type']}: {error['message']}" if error else edit.job.get("reason") or "not finished in time"
    return f"job {edit.job_id} is {edit.status}: {what}"


def _tell_recoveries(stack: Stack, edits: list[Edit]) -> None:
    """Note of each job that something went wrong for what it was."""
    for request in _call_emulator(stack, "GET", "requests")["requests"]:
        for what, script in LOSSES.items():
            if request["script"] == script:
                (edit,) = [edit for edit in edits if edit.job["request_id"] == request["request_id"]]
                edit.recovered = what


def _call_emulator(stack: Stack, method: str, path: str, body: object = None) -> Any:
    answer = httpx.request(method, f"{stack.fal_url}/emulator/{path}", json=body, trust_env=False, timeout=30)
    return answer.raise_for_status().json()


def _download(edits: list[Edit], folder: Path) -> None:
    """Bring outputs, and the photos that they were made of, into one folder."""
    for photo in dict.fromkeys(photo for edit in edits for photo in edit.photos):
        shutil.copyfile(PHOTOS / photo, folder / f"before-{photo}")
    for edit in edits:
        outputs = edit.job["outputs"]
        for output in outputs:
            number = f"-{output['index'] + 1}" if len(outputs) > 1 else ""
            name = f"{edit.name}{number}{Path(output['key']).suffix}"
            answer = httpx.get(output["url"], trust_env=False, timeout=30)
            answer.raise_for_status()
            (folder / name).write_bytes(answer.content)
            edit.files.append(name)

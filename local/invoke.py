"""`python -m local.invoke NAME`, or `--event FILE`: one event through its function, by `sam local invoke`.

Stand-ins for AWS and fal are started for it and ended after it, so that nothing else needs to run.
"""

import argparse
import json
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import IO, Any, cast

from werkzeug.serving import make_server

from local.aws import session
from local.children import Child, Children, open_log
from local.container_process import FunctionError
from local.docker import Docker, find_docker
from local.events import DELIVERY, as_delivered, find_function, list_events, read_event, read_event_file
from local.fal.doorkeeper import Doorkeeper
from local.foreground import end_on_signal, forget_profile, take_environment
from local.gateway import Gateway
from local.sam import STOP_SECONDS, read_answer, sam_environment, sam_local, write_template
from local.sam_build import built_for_host
from local.sam_template import derive_template, read_built
from local.settings import HOST, ROOT, Fal, LocalError, Ports, free_ports
from local.stand_ins import StandIns
from shared.jobs import Upload
from shared.upload_events import MalformedEventError, read_uploads

PHOTO = ROOT / "events" / "photos" / "coffee.png"
DELIVERY_SECONDS = 30
"""How long fal's delivery may take; the emulator makes it within two."""


class Invocation:
    """Stand-ins, and the folder with the derived template that `sam local invoke` is to run against them."""

    def __init__(self, stand_ins: StandIns, folder: Path, function: str | None = None) -> None:
        self._stand_ins = stand_ins
        self._folder = folder
        self._function = function

    def run(self, event: Mapping[str, Any]) -> Any:
        """Have the function that the event is for handle it, and give its answer.

        Raises:
            LocalError: SAM fails.
            FunctionError: the function does.
        """
        template = self._stand_ins.template
        function = self._function or find_function(template, event)
        print(f"sam local invoke {function}", file=sys.stderr, flush=True)
        file = self._folder / "event.json"
        file.write_text(json.dumps(event), encoding="utf-8")
        words = sam_local("invoke", self._folder / "template.yaml", function, "--event", str(file))
        # In a session of its own, Ctrl-C reaches only us, and we have SAM remove its container.
        process = subprocess.Popen(  # noqa: S603 - SAM, which make installed
            [sys.executable, "-m", "local.leash", *words],
            cwd=ROOT,
            env=sam_environment(template.functions),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        with closing(cast("IO[bytes]", process.stdout)) as output:
            try:
                text = output.read().decode()
            finally:
                Child("sam local invoke", process, STOP_SECONDS).end()
        if process.returncode and not text.strip():
            raise LocalError(f"sam local invoke ended with status {process.returncode}")
        return read_answer(text)

    def upload_photos(self, event: Mapping[str, Any]) -> int:
        """Put a photo where each upload of the event says that there is one, and count them.

        Raises:
            LocalError: it says so of a bucket that is not there.
        """
        uploads = list(_uploads_of(event))
        buckets = {bucket.name for bucket in self._stand_ins.template.buckets}
        if unknown := {upload.bucket for upload in uploads} - buckets:
            raise LocalError(f"no such bucket: {', '.join(sorted(unknown))}; there are {', '.join(sorted(buckets))}")
        with closing(session().client("s3", endpoint_url=self._stand_ins.aws_url)) as s3:
            for upload in uploads:
                s3.upload_file(str(PHOTO), upload.bucket, upload.key)
        return len(uploads)

    def list_jobs(self) -> list[str]:
        """The id and the status of each job that was made."""
        table = self._stand_ins.template.tables[0].request["TableName"]
        with closing(session().client("dynamodb", endpoint_url=self._stand_ins.aws_url)) as dynamodb:
            rows = dynamodb.scan(TableName=table)["Items"]
        return [f"{row['job_id']['S']} {row['status']['S']}" for row in rows if "status" in row]

    def make_delivery(self) -> dict[str, Any]:
        """Have a job submitted, and take the delivery that the emulator signs and sends for it.

        Raises:
            LocalError: the job is not submitted, or no delivery comes.
            FunctionError: the function fails.
        """
        deliveries: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

        def take(function: str, event: dict[str, Any]) -> dict[str, int]:
            del function
            deliveries.put(event)
            return {"statusCode": 200}

        gateway = Doorkeeper(Gateway(self._stand_ins.template.functions, take))
        server = make_server(HOST, self._stand_ins.ports.api, gateway, threaded=True)
        threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
        try:
            answer = self.run(read_event("post_job"))
            if not is_good(answer):
                raise LocalError(f"no job was submitted: {json.dumps(answer)}")
            return deliveries.get(timeout=DELIVERY_SECONDS)
        except queue.Empty:
            raise LocalError(f"fal's delivery did not come within {DELIVERY_SECONDS} s") from None
        finally:
            server.shutdown()
            server.server_close()


def _uploads_of(event: Mapping[str, Any]) -> Iterator[Upload]:
    records = event.get("Records")
    for record in records if isinstance(records, list) else []:
        try:
            yield from read_uploads(str(record.get("body") if isinstance(record, dict) else None))
        except MalformedEventError as error:
            yield from error.uploads  # What is wrong with the others is the function's to say.


def invoke(event: dict[str, Any] | None, function: str | None, docker: Docker) -> int:
    """Run one event, print the answer, and give the exit code: 0 where the function did what the event asks for.

    `event`: without one, a delivery of fal's is made. `function`: its logical id; without it the template says which.

    Raises:
        LocalError: the event cannot be run.
    """
    ports = Ports.read({key: str(port) for key, port in free_ports().items()})
    stand_ins = StandIns(ports, Fal.choose({}, ports, docker.host), docker)
    environment = {"AWS_ENDPOINT_URL": f"http://{docker.host}:{ports.aws}"}
    with ExitStack() as ending:
        built = ending.enter_context(built_for_host())
        template = derive_template(read_built(built), stand_ins.template.functions, environment, built)
        log = ending.enter_context(open_log())
        children = Children(log)
        ending.callback(children.end)
        stand_ins.start(children)
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="darkroom-")))
        write_template(template, folder)
        if function not in {None, *stand_ins.template.functions}:
            raise LocalError(f"there is no function {function}; there are {', '.join(stand_ins.template.functions)}")
        invocation = Invocation(stand_ins, folder, function)
        stand_ins.fill(children)
        try:
            event = (
                invocation.make_delivery()
                if event is None
                else as_delivered(stand_ins.template, event, PHOTO.read_bytes())
            )
            uploads = invocation.upload_photos(event)
            answer = invocation.run(event)
            jobs = invocation.list_jobs()
            for job in jobs:
                print(f"job {job}", file=sys.stderr)
            if uploads and not jobs:
                raise LocalError("no job was made of the upload: no preset of presets.yaml applies to it")
        except FunctionError as error:
            answer = error.payload()
        Path(log.name).unlink()
    print(json.dumps(answer))
    return 0 if is_good(answer) else 1


def is_good(answer: Any) -> bool:
    """Whether a function did as asked: it neither failed nor refused, nor names messages that are to come again."""
    return (
        isinstance(answer, dict)
        and "errorType" not in answer
        and int(answer.get("statusCode", 200)) < 400  # noqa: PLR2004 - HTTP's first error
        and not answer.get("batchItemFailures")
        and answer.get("isAuthorized", True) is True
    )


def main() -> int:
    """Run what the command line asks for; the result is the exit code."""
    parser = argparse.ArgumentParser(prog="python -m local.invoke", description="One event through its function.")
    parser.add_argument("name", nargs="?", help="an event of events/; all names are listed without one")
    parser.add_argument("--event", type=Path, help="a file with an event, such as `sam local generate-event` prints")
    parser.add_argument("--function", help="the function's name in template.yaml, where the event does not tell")
    parser.add_argument("--check", action="store_true", help="only say whether it can be run")
    arguments = parser.parse_args()
    names = list_events()
    if arguments.name is None and arguments.event is None:
        print("make invoke NAME=…, one of:", *names, sep="\n  ")
        print("or EVENT=path, with FUNCTION=… where the event does not tell which")
        return 0
    forget_profile()
    take_environment()
    end_on_signal()
    try:
        if arguments.event is not None:
            event: dict[str, Any] | None = read_event_file(arguments.event)
        elif arguments.name in names:
            event = None if arguments.name == DELIVERY else read_event(arguments.name)
        else:
            raise LocalError(
                f"there is no event {arguments.name}; the events are {', '.join(names)}, and a file is EVENT=path"
            )
        docker = find_docker()
        return 0 if arguments.check else invoke(event, arguments.function, docker)
    except LocalError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())

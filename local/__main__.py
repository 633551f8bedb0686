"""`python -m local`: the stack in the foreground. `python -m local demo`: a tour of it that ends with pictures."""

import argparse
import shlex
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import httpx

from local.demo import choose_fal, run_demo
from local.docker import find_docker
from local.foreground import INTERRUPTED, end_on_signal, forget_profile, take_environment
from local.sam import COMMAND
from local.sam_build import FOR_PLAIN_SAM
from local.settings import (
    DEFAULT_PORTS,
    HOST,
    ROOT,
    Fal,
    LocalError,
    Ports,
    TakenPortsError,
    free_ports,
    propose_ports,
)
from local.stack import Stack
from local.template import REGION


def main() -> int:
    """Run what the command line asks for; the result is the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m local", description="Darkroom on this machine, without an account."
    )
    parser.add_argument("command", nargs="?", choices=["demo"], help="edit real photos, and end")
    parser.add_argument(
        "--engine", choices=["processes", "sam"], default="processes", help="what runs the functions without a demo"
    )
    parser.add_argument("--show-log", action="store_true", help="print what functions and stand-ins log")
    arguments = parser.parse_args()
    # A stack in the foreground is meant to be ended; a demo that is ended is not done.
    end_on_signal(INTERRUPTED if arguments.command == "demo" else 0)
    forget_profile()
    environment = take_environment()
    try:
        if arguments.command == "demo":
            return _demo(environment, show_log=arguments.show_log)
        _serve(environment, in_containers=arguments.engine == "sam", show_log=arguments.show_log)
    except TakenPortsError as error:
        proposed = propose_ports(error.ports, environment)
        settings = " ".join(f"{variable}={port}" for variable, port in proposed.items())
        words = "demo" if arguments.command == "demo" else "local ENGINE=sam" if arguments.engine == "sam" else "local"
        print(f"error: {error}; choose others, such as `{settings} make {words}`", file=sys.stderr)
        return 1
    except LocalError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _serve(environment: Mapping[str, str], *, in_containers: bool, show_log: bool) -> None:
    ports = Ports.read(environment)
    docker = find_docker() if in_containers else None
    fal = Fal.choose(environment, ports, docker.host if docker else HOST)
    print("starting …", flush=True)
    with Stack(ports, fal, docker) as stack:
        print(_welcome(stack), flush=True)
        if show_log:
            _follow(stack.log)
        try:
            stack.watch(lambda said: print(said, flush=True))
        finally:
            print("ending; what was in its buckets and its table goes with it", flush=True)


def _demo(environment: Mapping[str, str], *, show_log: bool) -> int:
    ports = Ports.read(environment, defaults=dict.fromkeys(DEFAULT_PORTS, 0) | free_ports())
    with Stack(ports, choose_fal(environment, ports)) as stack:
        if show_log:
            _follow(stack.log)
        try:
            code = run_demo(stack)
        except httpx.HTTPError as error:
            raise LocalError(f"a part of the stack does not answer: {error!r}; see {stack.log}") from error
    if code == 0:
        stack.log.unlink()
    return code


def _follow(log: Path) -> None:
    """Print what is added to the log, on a thread of its own."""

    def follow() -> None:
        with log.open(encoding="utf-8", errors="replace") as lines:
            while True:
                if line := lines.readline():
                    print(line, end="", flush=True)
                else:
                    time.sleep(0.1)

    threading.Thread(target=follow, daemon=True).start()


def _welcome(stack: Stack) -> str:
    buckets = "  ".join(bucket.name for bucket in stack.template.buckets)
    tables = "  ".join(table.request["TableName"] for table in stack.template.tables)
    fal = "emulator: its pictures are simulated" if stack.fal.emulated else "the real fal: each picture is billed"
    if not stack.fal.emulated and not stack.fal.is_real:
        fal = "from FAL_QUEUE_URL"
    python = Path(sys.executable)
    if python.is_relative_to(Path.cwd()):
        python = python.relative_to(Path.cwd())
    lines = [
        "Darkroom is ready; Ctrl-C ends it.",
        "",
        f"  API      {stack.api_url}    token: {stack.token}",
        f"  AWS      {stack.aws_url}    region {REGION}, any key",
        f"  fal      {stack.fal_url}    {fal}",
        f"  buckets  {buckets}",
        f"  table    {tables}",
        f"  log      {stack.log}",
        "",
    ]
    if stack.docker:
        lines += [
            f"Functions run in containers, which reach this machine as {stack.docker.host}; so links lead there.",
            "",
        ]
    if stack.docker:
        sam = f"{COMMAND.relative_to(ROOT)} local"
        template = f"-t {FOR_PLAIN_SAM.relative_to(ROOT)} --skip-pull-image"
        lines += [
            "Plain sam commands work beside it, against the same buckets and the same table:",
            "",
            f"  {sam} invoke ReadJobs {template} -e events/health.json",
            "",
        ]
    if stack.docker and stack.fal.has_real_key:
        lines += [
            "Your key is in these containers, and they answer whoever finds their ports, pages in a browser too:",
            "sam local has no guard for them. Do not browse the web meanwhile, or run without ENGINE=sam.",
            "",
        ]
    if stack.fal.is_real:
        lines += [
            "fal cannot reach this machine: jobs are finished by the sweep, within a minute or two,",
            "and pictures to edit must be given as https URLs. Uploads cannot be edited so.",
            "",
        ]
    lines += [
        "Post a job, and see how it goes:",
        "",
        f"  curl {stack.api_url}/jobs -H 'Authorization: Bearer {stack.token}' -H 'Content-Type: application/json' \\",
        """    -d '{"prompt": "A lighthouse in a snowstorm, oil painting"}'""",
        f"  curl {stack.api_url}/jobs -H 'Authorization: Bearer {stack.token}'",
        "",
    ]
    if stack.fal.emulated:
        lines += [
            "Faults of fal are switched on at the emulator, as docs/emulator.md lists them. The next reply is lost:",
            "",
            f"  curl {stack.fal_url}/emulator/scripts \\",
            """    -d '{"submit": {"answer": "closed", "accepted": true}}'""",
            "",
        ]
    if not stack.fal.is_real:
        lines += [
            "Upload a photo under the prefix of a preset, and find it edited in the other bucket:",
            "",
            f"  export AWS_ENDPOINT_URL={stack.aws_url} AWS_DEFAULT_REGION={REGION} \\",
            "    AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local",
            f"  {shlex.quote(str(python))} -c \"import boto3; boto3.client('s3').upload_file(",
            "    'events/photos/coffee.png', 'darkroom-inputs', 'products/coffee.png')\"",
            "",
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

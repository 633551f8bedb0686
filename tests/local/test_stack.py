"""What keeps a stack from running."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from local.children import Child, Children
from local.settings import Fal, LocalError, Ports, claim, free_ports
from local.stack import Stack


def make(**environment: str) -> Stack:
    """A stack on free ports that is not started."""
    ports = Ports.read(free_ports_as_text())
    return Stack(ports, Fal.choose(environment, ports))


def free_ports_as_text() -> dict[str, str]:
    """Free ports as environment variables."""
    return {name: str(port) for name, port in free_ports().items()}


def test_a_setting_that_the_template_refuses() -> None:
    """A setting is checked by the rules of the template's parameters, as a deployment would."""
    with pytest.raises(LocalError, match="FalAuthScheme: 'Basic' is not one of Key, Bearer"):
        make(FAL_QUEUE_URL="http://127.0.0.1:9", FAL_AUTH_SCHEME="Basic")


def test_wrong_presets_are_named_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each mistake in presets.yaml ends the start with its place, and does not wait for the first upload."""
    file = tmp_path / "presets.yaml"
    file.write_text(
        "presets: {a: {arguments: {prompt: x, aspect_ratio: 1:1}},\n b: {arguments: {prompt: x}, teir: max}}"
    )
    monkeypatch.setattr("local.stand_ins.PRESETS_FILE", file)
    with pytest.raises(LocalError) as error:
        make()
    aspect_ratio, tier = str(error.value).splitlines()
    assert re.match(r"presets\.yaml:1: presets\.a\.arguments\.aspect_ratio: .*in quotes", aspect_ratio)
    assert re.match(r"presets\.yaml:2: presets\.b\.teir: .*did you mean tier", tier)
    monkeypatch.setattr("local.stand_ins.PRESETS_FILE", tmp_path / "none.yaml")
    with pytest.raises(LocalError, match=r"none\.yaml: "):
        make()


def test_a_setting_that_the_code_refuses() -> None:
    """Settings are read as the functions will read them."""
    with pytest.raises(LocalError, match="FAL_OUTPUT_HOSTS: "):
        make(FAL_QUEUE_URL="http://127.0.0.1:9", FAL_OUTPUT_HOSTS="https://a.example/files")


def test_the_address_of_fal_is_told() -> None:
    """The stack says which fal its functions talk to."""
    assert make(FAL_QUEUE_URL="http://127.0.0.1:9").fal_url == "http://127.0.0.1:9"
    assert make(FAL_KEY="a:b").fal_url == "https://queue.fal.run"


def test_a_child_that_ends_by_itself_is_named(tmp_path: Path) -> None:
    """A process of the stack that dies is named with its exit status and the log."""
    with (tmp_path / "log").open("wb") as log:
        children = Children(log)
        children.start("AWS stand-in", "local.leash", sys.executable, "-c", "raise SystemExit(3)").process.wait()
        with pytest.raises(LocalError, match=r"the AWS stand-in ended with status 3; see .*log"):
            children.check()
        children.end()


def test_a_child_that_will_not_end_is_killed() -> None:
    """A stand-in that ignores the request to end is killed soon after."""
    script = "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('x', flush=True); signal.pause()"
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603 - our own words
    with process:
        assert process.stdout
        process.stdout.readline()
        Child("stubborn", process).end()
    assert process.returncode == -9


def test_a_broken_handler_is_named() -> None:
    """A handler that cannot be imported ends the start with its name, and leaves nothing behind."""
    stack = make(FAL_QUEUE_URL="http://127.0.0.1:9")
    broken = replace(stack.template.functions["Sweep"], handler="functions.sweep.nobody")
    stack.template = replace(stack.template, functions={"Sweep": broken})
    with pytest.raises(LocalError, match=r"a function does not start: .*functions\.sweep\.nobody"), stack:
        pass
    for port in (stack.ports.aws, stack.ports.api):
        claim("nobody has it", port).close()
    stack.log.unlink()

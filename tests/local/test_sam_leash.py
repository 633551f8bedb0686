"""A command on a leash ends with whoever holds it. No Docker is needed."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

pytestmark = pytest.mark.long

SAYS_WHAT_ENDS_IT = r"""
import os, signal, sys, time
def say(text):
    os.write(1, text.encode() + b'\n')  # and no print: a signal may come in the middle of one
def end(number, frame):
    say(signal.Signals(number).name)
    time.sleep(0.5)
    say('cleaned up')
    sys.exit(7)
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, end)
say('started')
time.sleep(60)
"""
HEEDS_NOTHING = """
import signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
print('started', flush=True)
time.sleep(60)
"""
IS_TOLD_AS_IT_STARTS = """
import os, signal, subprocess, sys
from local import leash
really = subprocess.Popen
def start(*command, **more):
    process = really(*command, **more)
    os.kill(os.getpid(), signal.SIGTERM)
    return process
subprocess.Popen = start
sys.argv = ['leash', 'sleep', '60']
sys.exit(leash.main())
"""
SEES_WHETHER_IT_CAN_BE_INTERRUPTED = """
import signal
print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""


@contextmanager
def leashed(code: str) -> Iterator[subprocess.Popen[bytes]]:
    """Python code on a leash."""
    command = [sys.executable, "-m", "local.leash", sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603 - our own words
        yield process


def read_line(process: subprocess.Popen[bytes]) -> str:
    """The next line that comes out."""
    assert process.stdout
    return process.stdout.readline().decode().strip()


@pytest.mark.parametrize("by", ["signal", "standard input", "both"])
def test_the_command_is_interrupted_once_and_may_clean_up(by: str) -> None:
    """However the end is told, and if twice, the command gets one SIGINT and the time to clean up."""
    with leashed(SAYS_WHAT_ENDS_IT) as process:
        assert read_line(process) == "started"
        if by != "standard input":
            process.send_signal(signal.SIGTERM)
        if by != "signal":
            assert process.stdin
            process.stdin.close()
        assert [read_line(process) for _ in range(3)] == ["SIGINT", "cleaned up", ""]
        assert process.wait(10) == 7


def test_the_end_of_the_command_is_the_end_of_the_leash() -> None:
    """The exit code is the command's."""
    with leashed("raise SystemExit(3)") as process:
        assert process.wait(10) == 3


def test_a_command_can_be_interrupted_where_its_starter_cannot() -> None:
    """A shell starts what runs in the background with Ctrl-C ignored; the command is not to inherit that."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with leashed(SEES_WHETHER_IT_CAN_BE_INTERRUPTED) as process:
            assert read_line(process) == "True"
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_end_may_be_told_as_the_command_starts() -> None:
    """A signal in that moment ends the command too, and leaves it to nobody."""
    command = [sys.executable, "-c", IS_TOLD_AS_IT_STARTS]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:  # noqa: S603 - our own words
        assert process.wait(20) == 256 - signal.SIGINT


def test_a_command_that_will_not_end_is_killed() -> None:
    """What ignores its interrupt is killed after eight seconds, and does not outlive the stack."""
    began = time.monotonic()
    with leashed(HEEDS_NOTHING) as process:
        assert read_line(process) == "started"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 256 - 9
    assert 8 < time.monotonic() - began < 20

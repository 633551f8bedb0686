"""What a command in the foreground does first: keep the user's AWS settings out, and see to its own end."""

import os
import signal
from functools import partial
from types import FrameType

INTERRUPTED = 130
NO_PROXY = {"NO_PROXY": "*", "no_proxy": "*"}
"""All that is called stands on this machine, where an office's proxy does not lead."""


def forget_profile() -> None:
    """Keep the user's own AWS settings and proxies out: boto3 would stumble over a profile that is not there."""
    for name in [name for name in os.environ if name.startswith("AWS_") and name != "AWS_PORT"]:
        del os.environ[name]
    os.environ |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull} | NO_PROXY


def take_environment() -> dict[str, str]:
    """Copy the environment, and leave fal's key out of the one that every process inherits that is started from here.

    Make repeats in variables of its own what was said behind it, as in `make local FAL_KEY=…`.
    """
    environment = dict(os.environ)
    for name in ("FAL_KEY", "MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS"):
        os.environ.pop(name, None)
    return environment


def end_on_signal(code: int = INTERRUPTED) -> None:
    """Have Ctrl-C and SIGTERM end the process with this exit code, once what it started is ended."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, partial(_end, code))


def _end(code: int, _number: int, _frame: FrameType | None) -> None:
    # What follows takes a moment; a second Ctrl-C must not cut it short and leave processes behind.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise SystemExit(code)

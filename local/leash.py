"""`python -m local.leash COMMAND …`: a SAM command that is ended when standard input ends, however its parent did."""

import os
import signal
import subprocess
import sys
import threading

PATIENCE_SECONDS = 8.0
"""How long SAM may take to remove its containers."""


def main() -> int:
    """Run the command; the result is its exit code."""
    ending = threading.Event()
    # Before there is a command: a signal that comes as it starts would end us and leave it. Handlers are not inherited,
    # while an ignored Ctrl-C, as who starts us in the background may have it, would be.
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    signal.signal(signal.SIGINT, lambda *_: None)
    process = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)  # noqa: S603 - our own command

    def watch_parent() -> None:
        # Not by sys.stdin, whose lock a thread that still reads would hold while the interpreter ends.
        while os.read(0, 1024):
            pass
        ending.set()

    def end() -> None:
        ending.wait()
        # SAM forgets a SIGTERM that comes while it takes a request, and what a second one cuts off it leaves behind.
        process.send_signal(signal.SIGINT)
        try:
            process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()

    for work in (watch_parent, end):
        threading.Thread(target=work, daemon=True).start()
    return process.wait()


if __name__ == "__main__":
    sys.exit(main())

"""How jobs come along, shown in a terminal or written to a file."""

import sys
import time
from collections.abc import Sequence
from typing import Protocol

Row = tuple[str, str, str]
"""A job's title, endpoint and status."""

COLORS = {"succeeded": "32", "failed": "31", "cancelled": "31"}
DIM = "2"


class Progress(Protocol):
    """Shows where all jobs stand, as often as it is told."""

    def show(self, rows: Sequence[Row]) -> None:
        """Show what changed."""
        ...


class Lines:
    """A line for each change, for logs and pipes."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._shown: dict[str, Row] = {}

    def show(self, rows: Sequence[Row]) -> None:
        """Write a line for each row that is not as it was."""
        for row in rows:
            title, endpoint, status = row
            key = f"{title} {rows.index(row)}"
            if self._shown.get(key) != row:
                self._shown[key] = row
                print(f"{time.monotonic() - self._began:6.1f} s  {title:<30} {endpoint:<26} {status}", flush=True)


class Table:
    """One line for each job, written over in place."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._since: dict[int, tuple[str, float]] = {}

    def show(self, rows: Sequence[Row]) -> None:
        """Write the table over the last one."""
        now = time.monotonic() - self._began
        if self._since:
            sys.stdout.write(f"\033[{len(self._since)}F")
        for index, (title, endpoint, status) in enumerate(rows):
            if self._since.get(index, ("", 0.0))[0] != status:
                self._since[index] = (status, now)
            seconds = self._since[index][1] if status in COLORS else now
            color = COLORS.get(status, DIM)
            sys.stdout.write(f"\033[2K{seconds:6.1f} s  {title:<30} {endpoint:<26} \033[{color}m{status}\033[0m\n")
        sys.stdout.flush()

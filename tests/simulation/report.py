"""What many runs came to, and what one run was like."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from tests.simulation.runs import Outcome

COMMAND = ".venv/bin/python -m tests.simulation --replay"
SHOWN = 5
SHOWN_APART = ("lost", "I8", "I2", "I4", "thrown away")
"""The invariants that have a line of their own."""


@dataclass
class Report:
    """Figures of many runs; `failures` holds the first few runs that broke an invariant, as text."""

    PROPERTY: ClassVar[str] = "simulation"
    """The user property of a test in which it stands as JSON."""

    runs: int = 0
    calls: int = 0
    faults: int = 0
    jobs: int = 0
    paid: int = 0
    paid_jobs: int = 0
    broken: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def add(self, outcome: "Outcome") -> None:
        """Count one run."""
        self.runs += 1
        self.calls += len(outcome.world.points)
        self.faults += sum(step[4].startswith("! ") for step in outcome.world.trace)
        self.jobs += outcome.jobs
        self.paid += outcome.paid
        self.paid_jobs += outcome.paid_jobs
        if not outcome.violations:
            return
        self.broken.update({violation.invariant for violation in outcome.violations})
        if len(self.failures) < SHOWN:
            self.failures.append(describe(outcome))

    def merge(self, other: "Report") -> None:
        """Add another's figures."""
        for name in ("runs", "calls", "faults", "jobs", "paid", "paid_jobs"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.broken.update(other.broken)
        self.failures = [*self.failures, *other.failures][:SHOWN]

    def to_json(self) -> str:
        """As text, which goes from process to process."""
        return json.dumps(vars(self))

    @classmethod
    def from_json(cls, text: str) -> "Report":
        """Read it back."""
        content = json.loads(text)
        return cls(**content | {"broken": Counter(content["broken"])})

    def lines(self) -> list[str]:
        """The figures for the reader."""
        paid = f"{self.paid / self.paid_jobs:.3f}" if self.paid_jobs else "none"
        others = sum(self.broken.values()) - sum(self.broken[name] for name in SHOWN_APART)
        return [
            f"schedules run                {self.runs:,}",
            f"jobs, calls, faults in them  {self.jobs:,}, {self.calls:,}, {self.faults:,}",
            f"paid requests per paid job   {paid}",
            f"lost jobs                    {self.broken['lost'] + self.broken['I8']:,}",
            f"not settled after T_max      {self.broken['I2']:,}",
            f"settled states that changed  {self.broken['I4']:,}",
            f"paid pictures thrown away    {self.broken['thrown away']:,}",
            f"other broken invariants      {others:,}",
        ]


def describe(outcome: "Outcome") -> str:
    """A run for the reader: what broke, each step, and how to run it again."""
    lines = [f"--- {outcome.token}", *(f"  {violation}" for violation in outcome.violations), ""]
    lines += list(trace_lines(outcome))
    return "\n".join([*lines, "", f"  {COMMAND} {outcome.token}"])


def trace_lines(outcome: "Outcome") -> Iterable[str]:
    """One line for each step; steps that repeat word by word are counted."""
    last, times = "", 0
    for at, process, operation, subject, result in [*outcome.world.trace, (0.0, "", "", "", "")]:
        line = f"{at:>12.1f}  {process:<16} {operation:<32} {subject[:44]:<44} {result}"
        if line == last:
            times += 1
            continue
        if last:
            yield last + (f" (x{times})" if times > 1 else "")
        last, times = line if process or operation else "", 1

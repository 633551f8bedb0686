"""Faults for all requests, by chance or by turn; the same seed and the same submits give the same faults."""

import random
import threading
from typing import Self

from pydantic import Field, model_validator

from local.fal.scripts import Script
from local.fal.switches import Switch

PLAIN = Script()


class Rule(Switch):
    """Which submits get a script: a share of them, drawn by lot, or each one whose turn it is."""

    share: float | None = Field(default=None, gt=0, le=1)
    every: int | None = Field(default=None, ge=1)
    script: Script

    @model_validator(mode="after")
    def _has_one_measure(self) -> Self:
        if (self.share is None) == (self.every is None):
            raise ValueError("a rule needs share or every, and not both")
        return self


class ChaosPlan(Switch):
    """The rules in their order; of two that apply, the first."""

    seed: int = 0
    rules: tuple[Rule, ...] = ()


class Chaos:
    """A plan at work."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.follow(ChaosPlan())

    def follow(self, plan: ChaosPlan) -> None:
        """Begin a plan: its counts and its random draws start over."""
        with self._lock:
            self.plan = plan
            self._turn = 0
            self._random = random.Random(plan.seed)  # noqa: S311 - a row that repeats is the purpose

    def next_script(self) -> Script:
        """Give the script of the next submit, which changes nothing where no rule applies."""
        if not self.plan.rules:
            return PLAIN
        with self._lock:
            self._turn += 1
            # Each rule draws at each turn, so that what one does is not moved by another.
            hits = [rule for rule in self.plan.rules if self._applies(rule)]
        return hits[0].script if hits else PLAIN

    def _applies(self, rule: Rule) -> bool:
        if rule.share is not None:
            return self._random.random() < rule.share
        return rule.every is not None and self._turn % rule.every == 0

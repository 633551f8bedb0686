"""Cases by number: from a seed and a number follows one mutated delivery, on every machine."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from tests.forgeries.calls import ACCOUNT, Call, judge, seeded, true_calls
from tests.forgeries.damage import (
    Mutation,
    cut,
    edit_body,
    flip_body,
    flip_name,
    flip_path,
    flip_query,
    flip_value,
    name_another_request,
    rewrite_body,
    spoil_headers,
    swap_headers,
)
from tests.forgeries.deceit import (
    another_account,
    confuse_algorithm,
    replay,
    rewrite,
    shift_lines,
    spoil_signature,
    spoil_time,
)

MUTATIONS: list[Mutation] = [
    flip_body,
    flip_value,
    flip_name,
    flip_path,
    flip_query,
    cut,
    edit_body,
    rewrite_body,
    spoil_headers,
    swap_headers,
    name_another_request,
    another_account,
    replay,
    spoil_time,
    spoil_signature,
    confuse_algorithm,
    shift_lines,
]
REWRITTEN = 0.005
"""The share of cases that only write a true delivery in another way, and are to be taken."""
TWICE = 0.1
"""The share of cases with a damaged body besides."""


@dataclass(frozen=True)
class Case:
    """One call, how it was made, and whether it still says what the true delivery says."""

    number: int
    name: str
    true: Call
    call: Call
    pinned: bool

    @property
    def is_identical(self) -> bool:
        """Whether nothing but the writing differs from the true delivery."""
        return self.call.meaning == self.true.meaning


class Cases:
    """All cases of a seed."""

    def __init__(self, seed: object) -> None:
        self._seed = seed
        self._true = true_calls(seed)

    def __getitem__(self, number: int) -> Case:
        """Make the case of a number."""
        rng = seeded(self._seed, number)
        true, other = rng.sample(self._true, 2)
        if rng.random() < REWRITTEN:
            return Case(number, rewrite.__name__, true, rewrite(rng, true, other), pinned=True)
        mutation = rng.choice(MUTATIONS)
        call, name = mutation(rng, true, other), mutation.__name__
        if call.body and rng.random() < TWICE:
            call, name = flip_body(rng, call, other), f"{name}, {flip_body.__name__}"
        return Case(number, name, true, call, pinned=mutation is another_account or rng.random() < 1 / 2)


@dataclass
class Tally:
    """What came of some cases; `wrong` are those that the verifier judged wrongly."""

    identical: int
    wrong: list[Case]


def run(seed: object, numbers: Iterable[int]) -> Tally:
    """Let the verifier judge cases: identical ones are to be taken, and all others refused."""
    tally = Tally(0, [])
    for case, taken in judged(seed, numbers):
        tally.identical += case.is_identical
        if taken != case.is_identical:
            tally.wrong.append(case)
    return tally


def judged(seed: object, numbers: Iterable[int]) -> Iterator[tuple[Case, bool]]:
    """Each case, and whether the verifier takes it."""
    cases = Cases(seed)
    judges: dict[bool, Callable[[Call], bool]] = {True: judge(ACCOUNT), False: judge("")}
    for number in numbers:
        case = cases[number]
        yield case, judges[case.pinned](case.call)

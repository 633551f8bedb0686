"""Very many mutated deliveries, on all processors: `make forgeries`."""

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed

from tests.forgeries.cases import Case, judged, run

CHUNK = 5_000


def main() -> int:
    """Run the cases that the arguments ask for; 1 where one was judged wrongly."""
    parser = argparse.ArgumentParser(prog="python -m tests.forgeries", description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--case", type=int, help="one case alone, by its number")
    options = parser.parse_args()
    return _all(options.seed, options.count) if options.case is None else _one(options.seed, options.case)


def _one(seed: str, number: int) -> int:
    ((case, taken),) = judged(seed, [number])
    _say(f"{_show(case)}\n{'taken' if taken else 'refused'}")
    return int(taken != case.is_identical)


def _all(seed: str, count: int) -> int:
    began, done, identical, accepted, lost = time.monotonic(), 0, 0, 0, 0
    chunks = [range(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        running = {pool.submit(run, seed, chunk): len(chunk) for chunk in chunks}
        for future in as_completed(running):
            tally = future.result()
            done += running[future]
            identical += tally.identical
            for case in tally.wrong:
                accepted += not case.is_identical
                lost += case.is_identical
                _say(f"{_show(case)}\nagain: make forgeries SEED={seed} CASE={case.number}")
            if done * 10 // count != (done - running[future]) * 10 // count:
                _say(f"{done} of {count}, {time.monotonic() - began:.0f} s")
    if lost:
        _say(f"{lost} true deliveries in another writing were refused")
    seconds = time.monotonic() - began
    _say(f"{count} mutated deliveries, {accepted} accepted, {identical} excluded as identical, {seconds:.0f} s")
    return int(bool(accepted or lost))


def _show(case: Case) -> str:
    verdict = "says what the true delivery says" if case.is_identical else "must be refused"
    return f"case {case.number} ({case.name}), which {verdict}:\n  {case.call}\n  true: {case.true}"


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - what runs in a terminal prints


if __name__ == "__main__":
    sys.exit(main())

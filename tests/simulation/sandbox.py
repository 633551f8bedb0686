"""The code under test taken off the machine's clock, dice, threads, files and log."""

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from io import BytesIO, StringIO
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

import shared.app
from shared.observability import logger, metrics
from tests.simulation.processes import module_copy
from tests.simulation.scenarios import PRESETS

if TYPE_CHECKING:
    from tests.simulation.world import World

MACHINE = frozenset({"time", "secrets", "tempfile", "ThreadPoolExecutor"})
"""What the code under test finds replaced by the sandbox."""


class OneThread(Executor):
    """Does on the calling thread what is given to it; who waits for the result less long than it took gets none."""

    def __init__(self, box: "Sandbox") -> None:
        self._box = box

    def submit(self, work: Callable[..., Any], /, *arguments: Any, **more: Any) -> Any:
        """Do it now."""
        began = self._box.monotonic()
        outcome: Future[Any] = Future()
        try:
            outcome.set_result(work(*arguments, **more))
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to who asks for the result
            outcome.set_exception(error)
        took = self._box.monotonic() - began
        return SimpleNamespace(result=lambda timeout=None: self._result(outcome, took, timeout))

    @staticmethod
    def _result(outcome: Future[Any], took: float, timeout: float | None) -> Any:
        if timeout is not None and took > timeout:
            raise TimeoutError
        return outcome.result()


class Sandbox:
    """What the code under test finds in place of the machine's clock, dice, files and log, for the run at hand."""

    def __init__(self) -> None:
        self.world: World | None = None
        self.log = StringIO()

    def monotonic(self) -> float:
        """The virtual time."""
        return self._at_work().clock.now()

    def sleep(self, seconds: float) -> NoReturn:
        """Pauses go by App.sleep."""
        raise AssertionError(f"the code under test slept for {seconds} s of the machine's time")

    def token_hex(self, size: int) -> str:
        """The next text of the seed's row."""
        return self._at_work().token(size)

    def __call__(self, *_: object, **__: object) -> "OneThread":
        """A pool of threads that is none."""
        return OneThread(self)

    def TemporaryFile(self) -> BytesIO:  # noqa: N802 - tempfile's name
        """A file in memory."""
        return BytesIO()

    def count(self, name: str, unit: object, value: float) -> None:
        """Note what is counted."""
        del unit
        if self.world is not None:
            self.world.watch.promises.counts[name] += int(value)

    def _at_work(self) -> "World":
        if self.world is None:
            raise RuntimeError("no run is at work")
        return self.world


@contextmanager
def sandbox() -> Iterator[Sandbox]:
    """Take the code under test off the machine's clock, dice, files and log."""
    made = Sandbox()
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("AWS_", "FAL_"))]:
            patch.delenv(name)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("POWERTOOLS_METRICS_DISABLED", "true")
        for name in ("callback", "jobs", "submit", "sweep"):
            module_copy(name, 0)
        for name, module in list(sys.modules.items()):
            for used in MACHINE & vars(module).keys() if name.startswith("shared.") else ():
                patch.setattr(module, used, made)
        patch.setattr(shared.app, "load_presets", lambda _: PRESETS)
        # Metrics gather in the module until a function flushes them, and here a function may run within another.
        patch.setattr(metrics, "add_metric", made.count)
        before = logger.registered_handler.setStream(made.log)  # type: ignore[attr-defined] # a StreamHandler
        try:
            yield made
        finally:
            logger.registered_handler.setStream(before)  # type: ignore[attr-defined] # a StreamHandler

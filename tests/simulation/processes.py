"""Lambda functions as simulated processes: an application each, kept warm, gone after a crash."""

import importlib.util
from collections import defaultdict
from datetime import UTC, datetime
from functools import cache
from itertools import count
from types import ModuleType
from typing import TYPE_CHECKING, Any

import httpx
from aws_lambda_powertools.event_handler.api_gateway import BaseRouter

from local.template_reader import load_template
from shared.app import App
from tests.simulation.calls import FaultyClient, FaultyTransport
from tests.simulation.faults import WAIT_SECONDS, CrashError

if TYPE_CHECKING:
    from tests.simulation.world import World

TIMEOUTS = {one.handler.removeprefix("functions."): one.timeout for one in load_template().functions.values()}
"""Seconds that each function may run, as template.yaml says."""


class FunctionFailedError(Exception):
    """The function gave no answer: it raised, crashed or ran out of time."""


class Context:
    """Lambda's context in virtual time."""

    function_name = "darkroom-simulation"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:darkroom-simulation"
    aws_request_id = "00000000-0000-0000-0000-000000000000"

    def __init__(self, process: "Process") -> None:
        self._process = process

    def get_remaining_time_in_millis(self) -> int:
        """What is left of the function's time."""
        return int((self._process.deadline - self._process.world.clock.now()) * 1000)


class Process:
    """One container of a function: its application with its caches, and the calls that it makes."""

    def __init__(self, world: "World", function: str, name: str) -> None:
        self.world = world
        self.function = function
        self.name = name
        self.context = Context(self)
        self.deadline = 0.0
        self.busy = False
        self.not_before = 0.0
        """Before that fal has asked this container to send nothing."""
        self._calls = 0
        self._subject = ""
        clock, skew, clients = world.clock, world.next_skew(), {}
        for service in ("dynamodb", "s3", "secretsmanager"):
            clients[service] = FaultyClient(world.backend.client(service), service, self)
        self.app = App(
            world.settings,
            client=clients.__getitem__,
            http=httpx.Client(transport=FaultyTransport(world.transport, self), trust_env=False),
            now=lambda: datetime.fromtimestamp((clock.now() + skew) // 0.001 / 1000, UTC),
            nonce=world.nonce,
            sleep=self.pause,
            threads=1,
        )

    def start(self) -> None:
        """Begin a run of the function."""
        self.busy, self._calls = True, 0
        self.deadline = self.world.clock.now() + TIMEOUTS[self.function]

    def begin(self, operation: str, subject: str) -> str | None:
        """Number a call, and say what is to go wrong with it.

        Raises:
            CrashError: the process ends before the call.
        """
        world = self.world
        kind = world.next_call(self, operation, subject, first=self._calls == 0)
        self._calls += 1
        self._subject = subject
        if kind is not None:
            world.note(self.name, operation, subject, f"! {kind}")
        if kind == "crash_before":
            raise self.crash()
        if kind in WAIT_SECONDS:
            self.spend(WAIT_SECONDS[kind])
            self._subject = subject
        return kind

    def did(self, operation: str, outcome: str) -> None:
        """Note that a call had its effect."""
        self.world.note(self.name, operation, self._subject, outcome)
        if operation in {"dynamodb.put_item", "dynamodb.update_item"}:
            self.world.watch.written(self._subject, self.name)

    def failed(self, error: Exception) -> Exception:
        """Note the failure that the code is about to see."""
        self.world.note(self.name, "", self._subject, f"raises {type(error).__name__}")
        return error

    def crash(self) -> CrashError:
        """Note that the process ends here."""
        return CrashError(self.name)

    def pause(self, seconds: float) -> None:
        """Wait as the code under test asks to."""
        self.spend(seconds)

    def spend(self, seconds: float) -> None:
        """Let time pass, in which all else goes on.

        Raises:
            CrashError: the function's own time is over.
        """
        clock = self.world.clock
        self.world.pauses += 1
        # Powertools keeps the event at hand where all in this process see it; on AWS each function has a process.
        routed = {name: BaseRouter.__dict__.get(name) for name in ("current_event", "lambda_context")}
        self.world.turns.stand_still(min(clock.now() + seconds, self.deadline))
        for name, value in routed.items():
            setattr(BaseRouter, name, value)
        if clock.now() >= self.deadline:
            raise self.crash()


class Processes:
    """All containers of a run."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._alive: list[Process] = []
        self._made = 0
        self._copies: defaultdict[str, set[int]] = defaultdict(set)
        """Which copies of a function's module are at work."""

    def invoke(self, function: str, event: dict[str, Any]) -> Any:
        """Run a function with an event, in a free container or a new one.

        Raises:
            FunctionFailedError: it gave no answer.
        """
        process = self._free(function)
        module_name, _, handler = function.partition(".")
        # A function that runs while another of its kind stands still has a memory of its own, as on AWS.
        at_work = self._copies[module_name]
        number = next(number for number in count() if number not in at_work)
        at_work.add(number)
        module = module_copy(module_name, number)
        before = module.__dict__["app"]
        module.__dict__["app"] = lambda: process.app
        process.start()
        try:
            return getattr(module, handler)(event, process.context)
        except CrashError:
            self._world.note(process.name, function, "", "crashed")
            self._alive.remove(process)
            raise FunctionFailedError from None
        except Exception as error:
            self._world.note(process.name, function, "", f"raised {type(error).__name__}: {error}")
            raise FunctionFailedError from error
        finally:
            process.busy = False
            module.__dict__["app"] = before
            at_work.remove(number)

    def renew(self) -> None:
        """Let those that are free be followed by new ones, as after a deploy."""
        self._alive = [process for process in self._alive if process.busy]

    def close(self) -> None:
        """End all of them."""
        for process in self._alive:
            process.app.http.close()

    def _free(self, function: str) -> Process:
        for process in self._alive:
            if process.function == function and not process.busy:
                return process
        self._made += 1
        name = function.removesuffix(".handler").removeprefix("submit.")
        process = Process(self._world, function, f"{name}#{self._made}")
        self._alive.append(process)
        return process


@cache
def module_copy(name: str, number: int) -> ModuleType:
    """The module of a function, or a copy of it for a run beside others."""
    original = importlib.import_module(f"functions.{name}")
    if number == 0:
        return original
    spec = importlib.util.find_spec(original.__name__)
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

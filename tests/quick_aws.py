"""AWS's clients and their stand-in, made quicker: most of the time of most tests is theirs."""

import functools
import sys
from collections.abc import Callable
from typing import Any

import moto.core.responses
from botocore.client import BaseClient
from moto.core.serialize import AttributePicker, AttributePickerContext
from moto.core.utils import method_names_from_class

KINDS_OF_VALUES = frozenset({"S", "N", "B", "SS", "NS", "BS", "M", "L", "NULL", "BOOL"})


def make_quick() -> None:
    """Do so in this process; what they answer stays the same."""
    setattr(BaseClient, "_make_api_call", untraced(getattr(BaseClient, "_make_api_call")))  # noqa: B009, B010 - not ours
    setattr(AttributePicker, "__call__", by_its_own_name(AttributePicker.__call__))  # noqa: B010 - not ours
    setattr(moto.core.responses, "method_names_from_class", functools.cache(method_names_from_class))  # noqa: B010 - not ours


def untraced(call: Callable[..., Any]) -> Callable[..., Any]:
    """Hide a call from coverage, which is told of each line that runs: ten of theirs for one of ours."""

    @functools.wraps(call)
    def run(*args: Any, **kwargs: Any) -> Any:
        tracer = sys.gettrace()
        sys.settrace(None)
        try:
            return call(*args, **kwargs)
        finally:
            sys.settrace(tracer)

    return run


def by_its_own_name(pick: Callable[..., Any]) -> Callable[..., Any]:
    """Look for the kind of a DynamoDB value under its name alone: moto tries five names for each of the ten."""

    @functools.wraps(pick)
    def run(picker: AttributePicker, context: AttributePickerContext) -> Any:
        if context.key in KINDS_OF_VALUES and type(context.obj) is dict and len(context.obj) == 1:
            return context.obj.get(context.key)
        return pick(picker, context)

    return run

"""Mistakes that can be planted in the code under test, one at a time."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from pytest import MonkeyPatch  # noqa: PT013 - as the type of so many functions its name is enough

Plant = Callable[[MonkeyPatch], None]
BUGS: dict[str, Plant] = {}
COPIES = 3
"""How many copies of a function's module have the mistake: so many of a kind run at once at most, as a rule."""


def bug(plant: Plant) -> Plant:
    """Add a bug to the list, under its function's name."""
    BUGS[plant.__name__] = plant
    return plant


def around(patch: MonkeyPatch, place: Any, name: str, wrapper: Callable[..., Any]) -> None:
    """Put `wrapper(really, *arguments)` in the place of a function."""
    really = getattr(place, name)

    @wraps(really)
    def call(*arguments: Any, **more: Any) -> Any:
        return wrapper(really, *arguments, **more)

    patch.setattr(place, name, call)

"""What IAM says of a request: the part of its logic that our policies use. What is not known here is an error.

Facts from the IAM user guide: policy evaluation logic, and the JSON policy elements Action, Resource, Condition.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

Document = Mapping[str, Any]
NOTHING: Mapping[str, str] = {}
ELEMENTS = {"Sid", "Effect", "Principal", "Action", "NotAction", "Resource", "NotResource", "Condition"}


class PolicyError(ValueError):
    """A policy says something that this evaluator does not know, or that no policy may say."""


class Request(NamedTuple):
    """Who would do what with which resource; `service` is the caller where a policy of the resource is asked.

    `context`: the condition keys of the request, in small letters.
    """

    action: str
    resource: str
    service: str | None = None
    context: Mapping[str, str] = NOTHING


def is_allowed(documents: Iterable[Document], request: Request) -> bool:
    """Whether some statement allows the request and none denies it.

    Raises:
        PolicyError: a statement cannot be judged.
    """
    found = {one["Effect"] for document in documents for one in statements(document) if _is_about(one, request)}
    return "Allow" in found and "Deny" not in found


def statements(document: Document) -> Iterator[Mapping[str, Any]]:
    """The statements of a policy; a single one need not stand in a list.

    Raises:
        PolicyError: one has an element or an effect that is not known.
    """
    if document.get("Version", "2012-10-17") != "2012-10-17":
        raise PolicyError(f"Version {document['Version']}")
    for statement in as_list(document["Statement"]):
        if unknown := statement.keys() - ELEMENTS:
            raise PolicyError(f"{statement}: {', '.join(sorted(unknown))}")
        if statement["Effect"] not in {"Allow", "Deny"}:
            raise PolicyError(f"{statement}: {statement['Effect']} is no effect")
        yield statement


def as_list(value: Any) -> list[Any]:
    """The list that may be left out around a single value."""
    return value if isinstance(value, list) else [value]


def matches_action(pattern: str, action: str) -> bool:
    """Whether a pattern covers an action; letter case does not matter."""
    return bool(_action_pattern(pattern.lower()).fullmatch(action.lower()))


def matches_resource(pattern: str, arn: str) -> bool:
    """Whether a pattern covers an ARN; at the end of a segment `*` matches beyond the colon, else it does not.

    Raises:
        PolicyError: the pattern is no ARN, leaves the service open, or holds a policy variable.
    """
    return pattern == "*" or bool(_resource_pattern(pattern).fullmatch(arn))


@cache
def _action_pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(_regex(pattern, any_one=".", any_many=".*"))


@cache
def _resource_pattern(pattern: str) -> re.Pattern[str]:
    segments = pattern.split(":")
    if segments[0] != "arn" or "${" in pattern or re.search(r"[*?]", "".join(segments[2:3])):
        raise PolicyError(f"{pattern} is no resource")
    parts = [
        _regex(segment.removesuffix("*"), any_one="[^:]", any_many="[^:]*") + (".*" if segment.endswith("*") else "")
        for segment in segments
    ]
    return re.compile(":".join(parts), re.DOTALL)


def _regex(pattern: str, *, any_one: str, any_many: str) -> str:
    signs = {"*": any_many, "?": any_one}
    return "".join(signs.get(character, re.escape(character)) for character in pattern)


def _is_about(statement: Mapping[str, Any], request: Request) -> bool:
    return (
        _fits(statement, "Action", matches_action, request.action)
        and _fits(statement, "Resource", matches_resource, request.resource)
        and _is_principal(statement.get("Principal"), request.service)
        and all(
            _holds(operator, key.lower(), as_list(values), request.context)
            for operator, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        )
    )


def _fits(statement: Mapping[str, Any], element: str, matches: Callable[[str, str], bool], value: str) -> bool:
    negated = f"Not{element}"
    if (element in statement) == (negated in statement):
        raise PolicyError(f"{statement}: expected either {element} or {negated}")
    patterns = as_list(statement.get(element, statement.get(negated)))
    # All are looked at, so that none that is not known is passed over behind one that fits.
    found = [matches(pattern, value) for pattern in patterns]
    return any(found) == (element in statement)


def _is_principal(principal: Any, service: str | None) -> bool:
    if principal == "*":
        return True
    if principal is None or service is None:
        # A role's own policies name nobody, and are asked about nobody else.
        if principal is not None or service is not None:
            raise PolicyError("the policies of a role name no principal, those of a resource do")
        return True
    if principal.keys() != {"Service"}:
        raise PolicyError(f"{principal}: only services are known here")
    return service in as_list(principal["Service"])


def _holds(operator: str, key: str, values: list[str], context: Mapping[str, str]) -> bool:
    """One line of a condition; a key that the request lacks fulfils none of the operators known here."""
    if operator not in OPERATORS:
        raise PolicyError(f"{operator}: an operator that is not known here")
    return key in context and any(OPERATORS[operator](value, context[key]) for value in values)


OPERATORS: Mapping[str, Callable[[str, str], bool]] = {
    # IAM takes these two for the same.
    "ArnEquals": matches_resource,
    "ArnLike": matches_resource,
    "StringEquals": str.__eq__,
}

"""Where the policies of the functions' roles and what the functions need differ."""

import os.path
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from tests.iam.needs import Need, needs_of_lambda
from tests.iam.policies import Document, Request, as_list, is_allowed, matches_action, matches_resource, statements
from tests.iam.stack import Stack

LAMBDA_MAY_ASSUME = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}


class Grant(NamedTuple):
    """An action that a policy allows on a resource, both as the policy writes them."""

    action: str
    resource: str

    def covers(self, need: Need) -> bool:
        """Whether it grants what is needed."""
        return matches_action(self.action, need.action) and matches_resource(self.resource, need.resource)


class Fault(NamedTuple):
    """What is wrong with an action on a resource; a line of the table that a failing test shows."""

    function: str
    what: str
    action: str
    resource: str


def faults_of(stack: Stack, recorded: Mapping[str, set[Need]]) -> set[Fault]:
    """All that is missing, unused or wider than it must be; `recorded` by handler."""
    functions = stack.functions()
    found = set(_faults_of_roles(stack, {function.role for function in functions}))
    for function in functions:
        needs = recorded.get(function.handler, set()) | needs_of_lambda(function)
        for need in needs:
            if not is_allowed(function.policies, Request(*need)):
                found.add(Fault(function.logical_id, "missing", *need))
        for grant in grants_of(function.policies):
            if what := _what_is_wrong(grant, [need.resource for need in needs if grant.covers(need)]):
                found.add(Fault(function.logical_id, what, *grant))
    return found


def grants_of(policies: Iterable[Document]) -> Iterator[Grant]:
    """Every single action and resource that policies allow.

    Raises:
        KeyError: a policy allows all but something.
    """
    for document in policies:
        for statement in statements(document):
            if statement["Effect"] == "Allow":
                for action in as_list(statement["Action"]):
                    for resource in as_list(statement["Resource"]):
                        yield Grant(action, resource)


def _what_is_wrong(grant: Grant, used: list[str]) -> str | None:
    if any(sign in grant.action for sign in "*?"):
        return "wildcard action"
    if not used:
        return "unused"
    if any(sign in grant.resource for sign in "*?") and grant.resource not in _narrowest(used):
        return "too wide"
    return None


def _narrowest(used: list[str]) -> set[str]:
    """The patterns than which none is narrower where names are not known beforehand.

    Those are the objects in the bucket or folder that holds all the used ones, the streams of a log group, and the six
    characters at the end of a secret's ARN.
    """
    match used[0].split(":")[2]:
        case "s3":
            return {os.path.commonpath(used) + "/*"}
        case "logs":
            return {arn.partition(":log-stream:")[0] + ":*" for arn in used}
        case "secretsmanager":
            return {arn[:-6] + "??????" for arn in used}
    return set()


def _faults_of_roles(stack: Stack, used: set[str]) -> Iterator[Fault]:
    """Roles that nobody has, or that others than Lambda may take, and policies that stand elsewhere."""
    for kind in sorted(stack.kinds() - {"AWS::IAM::Role"}):
        if kind.startswith("AWS::IAM::"):
            yield Fault(kind, "not looked at", "", "")
    for logical_id, role in stack.of("AWS::IAM::Role"):
        if logical_id not in used:
            yield Fault(logical_id, "no function's role", "sts:AssumeRole", "")
        for statement in statements(role["AssumeRolePolicyDocument"]):
            plain = {**statement, "Action": _single(statement["Action"])}
            plain["Principal"] = {name: _single(value) for name, value in statement["Principal"].items()}
            if plain != LAMBDA_MAY_ASSUME:
                yield Fault(logical_id, "not for Lambda alone", str(statement["Action"]), str(statement["Principal"]))


def _single(value: object) -> object:
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def table_of(rows: Iterable[tuple[str, ...]]) -> str:
    """Rows as a table for people."""
    lines = sorted(rows)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)

"""DynamoDB's expressions, really evaluated: conditions, key conditions, filters, updates (DynamoDB docs: Expressions).

An expression is parsed once for its text. What the parser does not know is an error, so that nothing is passed over.
"""

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

Item = Mapping[str, Any]
Value = dict[str, Any]
Names = Mapping[str, str]
Values = Mapping[str, Value]

TOKEN = re.compile(r"\s*(<>|<=|>=|[=<>(),+\-]|[#:]?[A-Za-z_][A-Za-z0-9_.]*)")
KEYWORDS = frozenset({"AND", "OR", "NOT", "BETWEEN", "IN", "SET", "REMOVE", "ADD", "DELETE"})
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}


class ExpressionError(ValueError):
    """The expression is none, or one that the stand-in does not know."""


@dataclass(frozen=True)
class Scope:
    """What an expression is evaluated in: an item, and what `#name` and `:value` stand for."""

    item: Item
    names: Names
    values: Values

    def name(self, token: str) -> str:
        """The attribute that a token names."""
        return self.names[token] if token.startswith("#") else token

    def operand(self, token: str) -> Value | None:
        """The value that a token names; None for an attribute that is not there."""
        return self.values[token] if token.startswith(":") else self.item.get(self.name(token))


Condition = Callable[[Scope], bool]
Change = Callable[[Scope, dict[str, Any]], None]


def comparable(value: Value) -> tuple[str, Any]:
    """A typed value as something that Python compares as DynamoDB does."""
    ((kind, content),) = value.items()
    return kind, Decimal(content) if kind == "N" else content


def _compare(sign: str, left: Value | None, right: Value | None) -> bool:
    if left is None or right is None:
        return sign == "<>" and left is not right
    (left_kind, a), (right_kind, b) = comparable(left), comparable(right)
    if sign in {"=", "<>"}:
        return ((left_kind, a) == (right_kind, b)) is (sign == "=")
    return left_kind == right_kind and COMPARISONS[sign](a, b)


class _Parser:
    """Reads one expression from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _split(text)
        self._at = 0

    def peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def take(self, *wanted: str) -> str:
        token = self.peek()
        if not token or (wanted and token.upper() not in wanted):
            raise ExpressionError(f"{self._text}: expected {' or '.join(wanted) or 'more'}, found {token or 'its end'}")
        self._at += 1
        return token

    def takes(self, word: str) -> bool:
        """Whether the next token is this one, which is then passed."""
        if self.peek().upper() == word:
            self._at += 1
            return True
        return False

    def operand(self) -> str:
        token = self.take()
        if not re.match(r"[#:A-Za-z_]", token) or token.upper() in KEYWORDS:
            raise ExpressionError(f"{self._text}: {token} is no operand")
        if "." in token or self.peek() == "(":
            raise ExpressionError(f"{self._text}: {token} is more than the stand-in knows")
        return token

    def condition(self) -> Condition:
        parts = [self._all_of()]
        while self.takes("OR"):
            parts.append(self._all_of())
        return parts[0] if len(parts) == 1 else lambda scope: any(part(scope) for part in parts)

    def _all_of(self) -> Condition:
        parts = [self._negated()]
        while self.takes("AND"):
            parts.append(self._negated())
        return parts[0] if len(parts) == 1 else lambda scope: all(part(scope) for part in parts)

    def _negated(self) -> Condition:
        if self.takes("NOT"):
            inner = self._negated()
            return lambda scope: not inner(scope)
        if self.takes("("):
            inner = self.condition()
            self.take(")")
            return inner
        if self.peek() in {"attribute_exists", "attribute_not_exists"}:
            wanted = self.take() == "attribute_exists"
            (name,) = self._arguments(1)
            return lambda scope: (scope.operand(name) is not None) is wanted
        if self.takes("BEGINS_WITH"):
            name, start = self._arguments(2)
            return lambda scope: _begins_with(scope.operand(name), scope.operand(start))
        return self._comparison()

    def _arguments(self, count: int) -> list[str]:
        self.take("(")
        found = [self.operand()]
        for _ in range(count - 1):
            self.take(",")
            found.append(self.operand())
        self.take(")")
        return found

    def _comparison(self) -> Condition:
        left = self.operand()
        if self.takes("BETWEEN"):
            low = self.operand()
            self.take("AND")
            high = self.operand()
            return lambda scope: (
                _compare(">=", scope.operand(left), scope.operand(low))
                and _compare("<=", scope.operand(left), scope.operand(high))
            )
        sign = self.take("=", "<>", "<", "<=", ">", ">=")
        right = self.operand()
        return lambda scope: _compare(sign, scope.operand(left), scope.operand(right))

    def changes(self) -> list[Change]:
        changes: list[Change] = []
        while self.peek():
            one = {"SET": self._set, "REMOVE": self._remove, "ADD": self._add}[
                self.take("SET", "REMOVE", "ADD").upper()
            ]
            changes.append(one())
            while self.takes(","):
                changes.append(one())
        return changes

    def _set(self) -> Change:
        name = self.operand()
        self.take("=")
        terms = [(1, self._term())]
        while self.peek() in {"+", "-"}:
            terms.append((1 if self.take() == "+" else -1, self._term()))

        def change(scope: Scope, item: dict[str, Any]) -> None:
            if len(terms) == 1:
                item[scope.name(name)] = terms[0][1](scope)
            else:
                total = sum(sign * Decimal(term(scope)["N"]) for sign, term in terms)
                item[scope.name(name)] = {"N": str(total)}

        return change

    def _term(self) -> Callable[[Scope], Value]:
        fallback = None
        if self.takes("IF_NOT_EXISTS"):
            name, fallback = self._arguments(2)
        else:
            name = self.operand()

        def read(scope: Scope) -> Value:
            value = scope.operand(name)
            if value is None and fallback is not None:
                value = scope.operand(fallback)
            if value is None:
                raise ExpressionError(f"{name}: the item has no such attribute")
            return value

        return read

    def _remove(self) -> Change:
        name = self.operand()
        return lambda scope, item: item.pop(scope.name(name), None) and None

    def _add(self) -> Change:
        name, amount = self.operand(), self.operand()

        def change(scope: Scope, item: dict[str, Any]) -> None:
            before = scope.operand(name) or {"N": "0"}
            total = Decimal(before["N"]) + Decimal(scope.values[amount]["N"])
            item[scope.name(name)] = {"N": str(total)}

        return change


def _begins_with(value: Value | None, start: Value | None) -> bool:
    return bool(value and start and "S" in value and value["S"].startswith(start["S"]))


@functools.cache
def _split(text: str) -> tuple[str, ...]:
    tokens, at = [], 0
    while text[at:].strip():
        match = TOKEN.match(text, at)
        if match is None:
            raise ExpressionError(f"{text}: unknown from {text[at:]!r} on")
        tokens.append(match[1])
        at = match.end()
    return tuple(tokens)


@functools.cache
def _parse_condition(text: str) -> Condition:
    parser = _Parser(text)
    condition = parser.condition()
    if parser.peek():
        raise ExpressionError(f"{text}: nothing may follow, found {parser.peek()}")
    return condition


@functools.cache
def _parse_update(text: str) -> list[Change]:
    return _Parser(text).changes()


@functools.cache
def _placeholders(texts: tuple[str, ...]) -> frozenset[str]:
    return frozenset(token for text in texts for token in _split(text) if token[0] in "#:")


def check_placeholders(texts: tuple[str, ...], names: Names, values: Values) -> None:
    """Refuse names and values that no expression uses, and expressions that use others, as DynamoDB does.

    Raises:
        ExpressionError: names one of them.
    """
    if odd := _placeholders(texts) ^ (names.keys() | values.keys()):
        raise ExpressionError(f"unused or undefined: {', '.join(sorted(odd))}")


def holds(text: str, item: Item, names: Names, values: Values) -> bool:
    """Whether an item fits a condition."""
    return _parse_condition(text)(Scope(item, names, values))


def updated(text: str, item: Item, names: Names, values: Values) -> dict[str, Any]:
    """The item after an update; all its parts see the item as it was before."""
    scope, after = Scope(item, names, values), dict(item)
    for change in _parse_update(text):
        change(scope, after)
    return after

"""Pattern texts: what can be no beginning or end of an upload's key, and what to write instead."""

import json
import re

MAX_KEY_BYTES = 1024
"""The longest key that S3 takes (S3 docs: naming objects)."""

INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u00ad\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
"""Characters that nobody sees and no key has; the joiners within emoji and some scripts are none of them."""
BUCKET = re.compile(
    r"(?:https?://(?:s3[.-][^/]*|[^/]*:\d+)/[^/]*"  # the bucket after the host
    r"|.*\b\w+://[^/]*|s3:/*[^/]*|arn:[^/]*|[^/]*\.amazonaws\.com[^/]*"
    r"|darkroom-(?:inputs|outputs)[\w-]*(?=/))/?",
    re.IGNORECASE,
)
"""The forms in which a bucket stands before a key; the last is the name that CloudFormation and `make local` give."""
WILDCARD = re.compile(
    r"\.?\*+|\?"  # of shells and regular expressions
    r"|\[(?:[!^][^\]]+|(?:\w-\w)+|(\w)(?i:\1))\]"  # [!a], [0-9a-f], [jJ]; a folder may be called [2024]
    r"|\$?\{[^{}]*\}|<[^<>]*>|\([^()]*\|[^()]*\)"  # {date}, <name>, (jpg|png)
    r"|^\^|\$$"
)
"""What stands for other text elsewhere, and only for itself in a pattern."""
EITHER_CASE = re.compile(r"\[(\w)(?i:\1)\]")
ALTERNATIVES = re.compile(r"\{([^{}]*,[^{}]*)\}|\(([^()]*\|[^()]*)\)")
BETWEEN = re.compile(r"\s*[,;|]\s*|\s+(?=\.)")
"""What stands between several texts that are written as one."""
EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,5}")
PICTURE = re.compile(r"jpe?g|png|webp|gif|avif|hei[cf]", re.IGNORECASE)
EXAMPLE = "{ prefix: products/ }"
"""A pattern as a file has it, to show what one looks like."""
PLAIN = re.compile(r"(?!\.(?:inf|nan)$)(?:[A-Za-z_][\w.-]*[/.][\w./-]*|[.-][A-Za-z][\w.-]*)", re.IGNORECASE)
"""Texts that YAML takes as they are; all others are written in quotes."""


def find_faults(text: str, role: str) -> str:
    """Why no key can begin (`prefix`) or end (`suffix`) so, and what to write; nothing where all is well."""
    if not text:
        return f"is empty, so it fits every key; leave `{role}` out, or write `uploads: everything` if that is meant"
    reasons = _find_reasons(text, role)
    return f"{', '.join(reasons)}; {_advise(text, role)}" if reasons else ""


def _find_reasons(text: str, role: str) -> list[str]:
    inner = BUCKET.sub("", text, count=1) if BUCKET.match(text) else text
    wildcards = list(dict.fromkeys(match.group() for match in WILDCARD.finditer(inner)))
    reasons = {
        "has white space around it": text != text.strip(),
        "has a character that cannot be seen": INVISIBLE.search(text.strip()),
        "names a bucket (a key begins inside it)": inner != text,
        "has a backslash (keys have /)": "\\" in inner,
        f"{' and '.join(wildcards)} would be taken literally": wildcards,
        "is several texts in one": len(_split_several(inner)) > 1 and not ALTERNATIVES.search(inner),
        "begins with / (keys do not)": role == "prefix" and inner.startswith("/"),
        "has an empty folder name (//)": "//" in inner.strip(),
        "has . or .. as a folder name": {".", ".."} & set(inner.split("/")),
        "looks like the end of a key": role == "prefix" and EXTENSION.fullmatch(text.strip()),
        "ends with / (no upload's key does)": role == "suffix" and inner.endswith("/"),
        "is longer than any key": len(inner.encode(errors="replace")) > MAX_KEY_BYTES,
    }
    return [reason for reason, holds in reasons.items() if holds]


def write_patterns(text: str) -> str:
    """What a plain text means as patterns of a file, without the brackets of a list; an example if it is not clear."""
    patterns = _rewrite(text, "prefix")
    return EXAMPLE if _are_faulty(patterns) else ", ".join(write_pattern(*pattern) for pattern in patterns)


def write_pattern(prefix: str, suffix: str) -> str:
    """A pattern as a file has it."""
    return f"{{ {', '.join(_write_fields(prefix, suffix))} }}"


def _write_fields(prefix: str, suffix: str) -> list[str]:
    fields = {"prefix": prefix, "suffix": suffix}
    return [
        f"{name}: {text if PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)}"
        for name, text in fields.items()
        if text
    ]


def _advise(text: str, role: str) -> str:
    cleaned = _clean(text)
    if not cleaned.strip("*/."):
        return "write `uploads: everything` if every upload is meant"
    patterns = _rewrite(text, role)
    if _are_faulty(patterns):
        return "write the beginning or the end of such keys as it is"
    if len(patterns) > 1:
        return f"write a pattern for each: `[{', '.join(write_pattern(*pattern) for pattern in patterns)}]`"
    more = ", which takes more" if _loses_something(cleaned) else ""
    return f"write {' and '.join(f'`{field}`' for field in _write_fields(*patterns[0]))}{more}"


def _are_faulty(patterns: list[tuple[str, str]]) -> bool:
    return any(
        not (prefix or suffix) or _find_reasons(prefix, "prefix") or _find_reasons(suffix, "suffix")
        for prefix, suffix in patterns
    )


def _loses_something(text: str) -> bool:
    """Whether more than stars stands between the beginning and the end that are left of a text."""
    wildcards = list(WILDCARD.finditer(text))
    return bool(wildcards and text[wildcards[0].start() : wildcards[-1].end()].strip("*/."))


def _clean(text: str) -> str:
    """The text as a key would have it, though with its wildcards."""
    text = INVISIBLE.sub("", text).strip()
    text = BUCKET.sub("", text, count=1) if BUCKET.match(text) else text
    text = text.replace("jpe?g", "{jpg,jpeg}").replace("\\.", ".").replace("\\", "/")
    return EITHER_CASE.sub(r"\1", text.removeprefix("^").removesuffix("$"))


def _rewrite(text: str, role: str) -> list[tuple[str, str]]:
    """The prefix and suffix of each pattern that was meant, as nearly as patterns can say it."""
    parts = _split_several(_clean(text))
    return list(dict.fromkeys(_split_at_wildcards(one, role) for part in parts for one in _spell_out(part)))


def _split_several(text: str) -> list[str]:
    parts = BETWEEN.split(text.strip())
    several = (
        all(part.startswith(".") for part in parts)
        or all(part.endswith("/") for part in parts)
        or all(PICTURE.fullmatch(part) for part in parts)
    )
    return parts if several else [text]


def _spell_out(text: str) -> list[str]:
    if not (found := ALTERNATIVES.search(text)):
        return [text]
    choices = re.split(r"[,|]", found[1] or found[2])
    return [text[: found.start()] + choice.strip() + text[found.end() :] for choice in choices]


def _split_at_wildcards(text: str, role: str) -> tuple[str, str]:
    """What stands before the first wildcard and after the last; without any, the text is a beginning or an end."""
    wildcards = list(WILDCARD.finditer(text))
    if wildcards:
        head, tail = text[: wildcards[0].start()], text[wildcards[-1].end() :]
    elif PICTURE.fullmatch(text):
        head, tail = "", f".{text}"
    elif EXTENSION.fullmatch(text) or (role == "suffix" and not text.endswith("/")):
        head, tail = "", text
    else:
        head, tail = text, ""
    names = [name for name in head.split("/") if name not in {"", ".", ".."}]
    prefix = "/".join(names) + ("/" if names and head.endswith("/") else "")
    names = [name for name in tail.split("/") if name not in {"", ".", ".."}]
    suffix = ("/" if names and tail.startswith("/") else "") + "/".join(names)
    return prefix.strip(), "" if tail.endswith("/") else suffix.strip()

"""Cursors: where a list of jobs goes on, in a form that callers hand back and need not read."""

import base64
import json
import re
from typing import Any

from shared.jobs import JOB_ID

MAX_LENGTH = 1024
MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z", re.ASCII)


def write_cursor(owner: str, created_at: str, job_id: str) -> str:
    """The cursor after the job of that moment and id."""
    return base64.urlsafe_b64encode(json.dumps([owner, created_at, job_id]).encode()).decode().rstrip("=")


def read_cursor(cursor: str, owner: str) -> dict[str, Any]:
    """The key at which the index by owner goes on.

    Raises:
        ValueError: it is no cursor that this owner was given.
    """
    if len(cursor) > MAX_LENGTH:
        raise ValueError("no cursor is so long")
    try:
        content = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except RecursionError as error:
        raise ValueError("no cursor nests so deep") from error
    match content:
        case [str(whose), str(created_at), str(job_id)] if (
            whose == owner and MOMENT.fullmatch(created_at) and JOB_ID.fullmatch(job_id)
        ):
            return {"owner": {"S": owner}, "created_at": {"S": created_at}, "job_id": {"S": job_id}}
    raise ValueError("not a cursor of this owner")

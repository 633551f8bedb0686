"""Authorize: bearer tokens become owners, for every route but fal's and /health."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from shared.app import app
from shared.observability import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer API Gateway's question in its simple form: whether the caller may pass, and as whom."""
    del context
    # API Gateway gives names of headers in small letters; `sam local` gives `Authorization`.
    headers = {name.lower(): value for name, value in event.get("headers", {}).items()}
    scheme, _, token = headers.get("authorization", "").partition(" ")
    owner = app().credentials.owner_of(token.strip()) if scheme.lower() == "bearer" and token.strip() else None
    return {"isAuthorized": owner is not None, "context": {"owner": owner or ""}}

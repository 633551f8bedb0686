"""Authorize: bearer tokens become owners, for every route but fal's and /health."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from shared.app import app
from shared.credentials import TOKENS_UNREAD
from shared.errors import AwsUnavailableError
from shared.observability import CALL, logger


@logger.inject_lambda_context(correlation_id_path=CALL)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Tell API Gateway, in its simple form, whose call it is.

    Nobody's call passes too: `shared.api.owner_of` refuses it as a problem, which API Gateway's own answer is not.
    """
    del context
    # API Gateway gives names of headers in small letters; `sam local` gives `Authorization`.
    headers = {name.lower(): value for name, value in event.get("headers", {}).items()}
    scheme, _, token = headers.get("authorization", "").partition(" ")
    owner = None
    if scheme.lower() == "bearer" and token.strip():
        try:
            owner = app().credentials.owner_of(token.strip())
        except AwsUnavailableError as error:
            logger.error("tokens cannot be read", reason=str(error))
            return {"isAuthorized": True, "context": {"owner": "", TOKENS_UNREAD: True}}
    return {"isAuthorized": True, "context": {"owner": owner or ""}}

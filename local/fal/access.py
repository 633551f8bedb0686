"""Who may call: fal's two refusals of an Authorization header."""

from werkzeug.wrappers import Request

from local.fal.settings import EmulatorSettings

UNKNOWN_KEY = "No user found for Key ID and Secret"
MALFORMED_KEY = "Invalid Key Authorization header format. Expected '<key_id>:<key_secret>'."


def refusal(settings: EmulatorSettings, call: Request) -> str | None:
    """Say why the caller is refused, or None if it may come in."""
    scheme, _, credential = call.headers.get("Authorization", "").partition(" ")
    if scheme not in settings.auth_schemes:
        return MALFORMED_KEY
    key_id, colon, secret = credential.partition(":")
    # A reseller's Bearer token is one opaque text.
    if not credential or (scheme == "Key" and not (key_id and colon and secret)):
        return MALFORMED_KEY
    if settings.keys is not None and credential not in settings.keys:
        return UNKNOWN_KEY
    return None

"""fal's key, on its way from a keyboard or a pipe into its secret."""

import getpass
import re
import sys

from local.deployed.stack import DeployedError, DeployedStack

FORMS = {"Key": (r"[!-9;-~]+:[!-9;-~]+", "id:secret"), "Bearer": (r"[!-~]+", "one word")}
"""What a key looks like by FalAuthScheme: fal's own has two parts, a reseller's is whatever the reseller gives out."""


def put_fal_key(stack: DeployedStack) -> None:
    """Ask for the key, without showing it, and put it into the stack's secret.

    Raises:
        DeployedError: it does not look like a key.
    """
    secret = stack.output("FalKeySecret")
    print(f"The key goes into {secret}.", flush=True)
    pattern, form = FORMS[stack.parameters.get("FalAuthScheme", "Key")]
    key = _read_key(form)
    if not re.fullmatch(pattern, key):
        raise DeployedError(f"That is no key: expected {form}, without spaces. Nothing was changed.")
    stack.client("secretsmanager").put_secret_value(SecretId=secret, SecretString=key)
    print("It is there. The functions take it within five minutes; jobs that waited for it then go on by themselves.")


def _read_key(form: str) -> str:
    if sys.stdin.isatty():
        return getpass.getpass(f"fal key ({form}; it is not shown): ")
    # Editors and shells end a line; whatever else is there was put there.
    return sys.stdin.read().rstrip("\r\n")

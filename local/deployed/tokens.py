"""Bearer tokens of the API: made, listed and revoked in the secret that holds their hashes and owners."""

import hashlib
import json
import re
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING

from local.deployed.stack import DeployedError, DeployedStack

if TYPE_CHECKING:
    from botocore.exceptions import ClientError
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_secretsmanager.type_defs import GetSecretValueResponseTypeDef

Owners = dict[str, str]
"""Whose token it is, by the SHA-256 of the token."""

OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""As the template's UploadOwner; an owner's name is a folder of the outputs bucket."""
ID_LENGTH = 8
"""Digits of a token's hash that name it."""
TRIES = 5
NEXT = "DARKROOM_NEXT"
"""The label of a version that is written and not yet in force."""


def make_token(stack: DeployedStack, owner: str | None) -> None:
    """Make a token of an owner and show it, once.

    Raises:
        DeployedError: the owner's name is none, or the secret cannot be changed.
    """
    uploads = stack.parameters.get("UploadOwner", "uploads")
    if not owner or not OWNER.fullmatch(owner):
        raise DeployedError(
            f"NAME=… says whose it is, in letters, digits and ._- alone. Uploads start jobs of {uploads}."
        )
    token = secrets.token_urlsafe(32)
    hashed = hashlib.sha256(token.encode()).hexdigest()
    _change(stack, lambda owners: owners | {hashed: owner})
    print(f"A token of {owner}, shown this once; only its SHA-256 is kept. Its id is {hashed[:ID_LENGTH]}.\n")
    print(f"  TOKEN={token}")
    print(f'  curl -s {stack.output("ApiUrl")}/jobs -H "Authorization: Bearer $TOKEN"\n')
    print(f"The API takes it within five minutes, for jobs of {owner}.")
    if owner != uploads:
        print(f"Uploads start jobs of {uploads}, which it does not see.")
    print(f"  {stack.place.command('tokens'):<24} lists all tokens")
    print(f"  {stack.place.command(f'revoke ID={hashed[:ID_LENGTH]}'):<24} takes this one back")


def read_owners(stack: DeployedStack) -> Owners:
    """Read the hashes of all tokens and their owners.

    Raises:
        DeployedError: the secret holds something else.
    """
    return _parse(stack.client("secretsmanager").get_secret_value(SecretId=stack.output("TokensSecret")))


def list_tokens(stack: DeployedStack) -> None:
    """Show the owner and the id of each token."""
    owners = read_owners(stack)
    if not owners:
        print(f"The stack {stack.name} has no token yet. {stack.place.command('token NAME=…')} makes one.")
    for hashed, owner in sorted(owners.items(), key=lambda item: item[::-1]):
        print(f"{hashed[:ID_LENGTH]}  {owner}")


def revoke_token(stack: DeployedStack, token_id: str | None) -> None:
    """Take one token out of the secret.

    Raises:
        DeployedError: no token has that id, or more than one has it.
    """
    if not token_id:
        raise DeployedError(f"ID=… says which token: {stack.place.command('tokens')} lists them.")
    revoked: list[str] = []

    def without(owners: Owners) -> Owners:
        found = [hashed for hashed in owners if hashed.startswith(token_id.lower())]
        if len(found) != 1:
            raise DeployedError(f"{len(found) or 'No'} tokens have the id {token_id}. Nothing was changed.")
        revoked[:] = [owners[found[0]]]
        return {hashed: owner for hashed, owner in owners.items() if hashed != found[0]}

    _change(stack, without)
    print(f"The token {token_id} of {revoked[0]} is revoked. The API refuses it within five minutes.")


def _change(stack: DeployedStack, change: Callable[[Owners], Owners]) -> None:
    """Write the changed tokens, but never over what somebody else wrote since they were read.

    UpdateSecretVersionStage puts a version in force only if RemoveFromVersionId still is the one in force.

    Raises:
        DeployedError: others wrote each time, or the secret holds something else.
    """
    client: SecretsManagerClient = stack.client("secretsmanager")
    secret = stack.output("TokensSecret")
    written = None
    for _ in range(TRIES):
        current = client.get_secret_value(SecretId=secret)
        if current["VersionId"] == written:
            return  # the reply to our move was lost, and its repetition refused
        text = json.dumps(change(_parse(current)))
        written = client.put_secret_value(SecretId=secret, SecretString=text, VersionStages=[NEXT])["VersionId"]
        try:
            client.update_secret_version_stage(
                SecretId=secret,
                VersionStage="AWSCURRENT",
                MoveToVersionId=written,
                RemoveFromVersionId=current["VersionId"],
            )
        except (client.exceptions.InvalidParameterException, client.exceptions.InvalidRequestException) as error:
            refusal: ClientError = error
            continue
        return
    raise DeployedError(f"The tokens could not be changed, {TRIES} times: {refusal}")


def _parse(value: "GetSecretValueResponseTypeDef") -> Owners:
    try:
        owners = json.loads(value["SecretString"])
    except ValueError:
        owners = None
    if not isinstance(owners, dict):
        raise DeployedError(f"The secret {value['Name']} holds no JSON object. Nothing was changed.")
    return owners

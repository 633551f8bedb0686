"""The AWS stand-in with CloudFormation: `python -m tests.local.deployed.aws_with_cloudformation`."""

import sys
from types import ModuleType
from typing import Any

from moto.s3.responses import S3Response
from moto.secretsmanager.models import SecretsManagerBackend

from local.aws_server import main


def allow_cloudformation() -> None:
    """Let moto's CloudFormation be imported.

    It imports moto's API Gateway, and that a validator of OpenAPI documents. No stack here has an API, so an empty
    module spares the lock the validator and all that it needs.
    """
    name = "openapi_spec_validator"
    modules = [ModuleType(name), ModuleType(f"{name}.validation"), ModuleType(f"{name}.validation.exceptions")]
    vars(modules[0])["validate"] = vars(modules[2])["OpenAPIValidationError"] = None
    sys.modules |= {module.__name__: module for module in modules}


def follow_label() -> None:
    """Let GetSecretValue give the version labelled AWSCURRENT, as AWS does, also after the label was moved."""
    really = SecretsManagerBackend.update_secret_version_stage

    def update(backend: Any, **arguments: str) -> tuple[str, str]:
        answer = really(backend, **arguments)
        if arguments["version_stage"] == "AWSCURRENT":
            backend.secrets[arguments["secret_id"]].set_default_version_id(arguments["move_to_version_id"])
        return answer

    # Assigned to the attribute, mypy would want the very signature.
    setattr(SecretsManagerBackend, really.__name__, update)


def tell_of_eventbridge() -> None:
    """Let S3 say of a bucket whether it tells EventBridge of its objects, which moto keeps and does not show."""
    really = S3Response.serialized

    def serialized(self: S3Response, result: Any) -> Any:
        if self.data.get("Action") == "GetBucketNotificationConfiguration" and result.result:
            kept = self.backend.get_bucket_notification_configuration(self.bucket_name)
            if kept and kept.event_bridge is not None:
                result.result["EventBridgeConfiguration"] = {}
        return really(self, result)

    # Assigned to the attribute, mypy would want the very signature.
    setattr(S3Response, really.__name__, serialized)


allow_cloudformation()
follow_label()
tell_of_eventbridge()
main()

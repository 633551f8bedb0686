"""template.yaml as CloudFormation gets it: transformed by SAM's own translator, its intrinsics made values."""

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import boto3
from moto.iam.aws_managed_policies import aws_managed_policies_data
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from local import template
from local.template import REGION, Resolver
from tests.iam.policies import Document

SUFFIX = "-AbCdEf"
"""Secrets Manager ends each secret's ARN with a dash and six random characters."""
ROLE_PROPERTIES = {"AssumeRolePolicyDocument", "Policies", "ManagedPolicyArns", "Description", "Tags"}
ARNS = {"AWS::Lambda::Function": template.ARNS["AWS::Serverless::Function"]}


def transform(content: Mapping[str, Any], parameters: Mapping[str, str]) -> dict[str, Any]:
    """Give the CloudFormation template that SAM makes of a template."""
    packaged = copy.deepcopy(dict(content))
    packaged["Globals"]["Function"]["CodeUri"] = "s3://bucket/code.zip"  # which `sam package` would put there
    translator = Translator(None, Parser(), boto_session=boto3.Session(region_name=REGION))
    transformed: dict[str, Any] = translator.translate(packaged, dict(parameters))
    return transformed


@dataclass(frozen=True)
class Function:
    """A function with the policies of its role, its own and those of AWS that it names.

    `log_group`: the one that it is told to use; `queue_arns`: those that are polled for it, with its role.
    """

    logical_id: str
    name: str
    handler: str
    environment: dict[str, str]
    log_group: str | None
    queue_arns: list[str]
    role: str
    own_policies: list[Document]
    managed_policies: list[Document]

    @property
    def policies(self) -> list[Document]:
        """All that bear on what it may do."""
        return [*self.own_policies, *self.managed_policies]


class Stack:
    """A transformed template with its parameters."""

    def __init__(self, content: Mapping[str, Any], parameters: Mapping[str, str]) -> None:
        self._resources: Mapping[str, Any] = content["Resources"]
        self._resolver = _Resolver(content, parameters)

    def of(self, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """The resources of a type that are made, and their properties, resolved."""
        for logical_id, resource in self._resources.items():
            holds = "Condition" not in resource or self._resolver.holds(resource["Condition"])
            if resource["Type"] == kind and holds:
                yield logical_id, self._resolver.resolve(resource.get("Properties", {}))

    def arn(self, logical_id: str) -> str:
        """The ARN of a resource."""
        return self._resolver.arn(logical_id)

    def kinds(self) -> set[str]:
        """The types of all resources."""
        return {resource["Type"] for resource in self._resources.values()}

    def functions(self) -> list[Function]:
        """All functions.

        Raises:
            KeyError: a role says something that bears on what it may do, and is not known here.
        """
        roles = {self.arn(logical_id): (logical_id, role) for logical_id, role in self.of("AWS::IAM::Role")}
        return [self._function(name, body, *roles[body["Role"]]) for name, body in self.of("AWS::Lambda::Function")]

    def _function(self, logical_id: str, body: dict[str, Any], role_id: str, role: dict[str, Any]) -> Function:
        if unknown := role.keys() - ROLE_PROPERTIES:
            raise KeyError(f"{role_id}: {', '.join(sorted(unknown))}")
        name = self._resolver.name(logical_id)
        sources = [source for _, source in self.of("AWS::Lambda::EventSourceMapping")]
        return Function(
            logical_id=logical_id,
            name=name,
            handler=body["Handler"],
            environment={variable: str(value) for variable, value in body["Environment"]["Variables"].items()},
            log_group=body.get("LoggingConfig", {}).get("LogGroup"),
            queue_arns=[source["EventSourceArn"] for source in sources if source["FunctionName"] == name],
            role=role_id,
            own_policies=[policy["PolicyDocument"] for policy in role.get("Policies", [])],
            managed_policies=[_managed_policy(arn) for arn in role.get("ManagedPolicyArns", [])],
        )


def _managed_policy(arn: str) -> Document:
    """What a policy of AWS's own says, in moto's copy of all of them."""
    document: Document = _managed_policies()[arn.rpartition("/")[2]]["Document"]
    return document


@cache
def _managed_policies() -> dict[str, Any]:
    policies: dict[str, Any] = json.loads(aws_managed_policies_data)
    return policies


class _Resolver(Resolver):
    """The local stack's resolver, for what SAM makes as well; a secret's ARN is whole."""

    def arn(self, logical_id: str) -> str:
        kind = self._resource(logical_id)["Type"]
        return ARNS[kind].format(name=self.name(logical_id)) if kind in ARNS else super().arn(logical_id)

    def _ref(self, name: str) -> Any:
        value = super()._ref(name)
        is_secret = self._resources.get(name, {}).get("Type") == "AWS::SecretsManager::Secret"
        return value + SUFFIX if is_secret else value

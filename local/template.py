"""template.yaml as CloudFormation reads it: parameters and intrinsics become values, resources physical names."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

TEMPLATE_FILE = Path(__file__).resolve().parent.parent / "template.yaml"
STACK_NAME = "darkroom"
REGION = "us-east-1"
ACCOUNT_ID = "123456789012"
PARTITION = "aws"

PSEUDO_PARAMETERS: dict[str, str] = {
    "AWS::StackName": STACK_NAME,
    "AWS::Region": REGION,
    "AWS::AccountId": ACCOUNT_ID,
    "AWS::Partition": PARTITION,
    "AWS::URLSuffix": "amazonaws.com",
}

NAME_PROPERTIES: dict[str, str] = {
    "AWS::DynamoDB::Table": "TableName",
    "AWS::Events::Rule": "Name",
    "AWS::IAM::Role": "RoleName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::SecretsManager::Secret": "Name",
    "AWS::Serverless::Function": "FunctionName",
}
"""The property with which a resource of a type chooses its own name."""

ARNS: dict[str, str] = {
    "AWS::DynamoDB::Table": f"arn:{PARTITION}:dynamodb:{REGION}:{ACCOUNT_ID}:table/{{name}}",
    "AWS::Events::Rule": f"arn:{PARTITION}:events:{REGION}:{ACCOUNT_ID}:rule/{{name}}",
    "AWS::IAM::Role": f"arn:{PARTITION}:iam::{ACCOUNT_ID}:role/{{name}}",
    "AWS::Logs::LogGroup": f"arn:{PARTITION}:logs:{REGION}:{ACCOUNT_ID}:log-group:{{name}}:*",
    "AWS::S3::Bucket": f"arn:{PARTITION}:s3:::{{name}}",
    "AWS::SQS::Queue": f"arn:{PARTITION}:sqs:{REGION}:{ACCOUNT_ID}:{{name}}",
    "AWS::Serverless::Function": f"arn:{PARTITION}:lambda:{REGION}:{ACCOUNT_ID}:function:{{name}}",
}
SECRET_ARN = f"arn:{PARTITION}:secretsmanager:{REGION}:{ACCOUNT_ID}:secret:{{name}}"
"""What `Ref` gives for a secret, less the six random characters, without which it names the secret as well."""
QUEUE_URL = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT_ID}/{{name}}"


class TemplateError(Exception):
    """The template says something that cannot be, or that the local stack does not know."""


class _Loader(yaml.SafeLoader):
    """YAML in which `!Name x` is the mapping `{Fn::Name: x}`, CloudFormation's long form of the same."""


def _read_tag(loader: yaml.SafeLoader, tag: str, node: yaml.Node) -> dict[str, Any]:
    match node:
        case yaml.ScalarNode():
            value: Any = loader.construct_scalar(node)
        case yaml.SequenceNode():
            value = loader.construct_sequence(node, deep=True)
        case yaml.MappingNode():
            value = loader.construct_mapping(node, deep=True)
    return {tag if tag in {"Ref", "Condition"} else f"Fn::{tag}": value}


_Loader.add_multi_constructor("!", _read_tag)


def read_yaml(text: str) -> dict[str, Any]:
    """Read a template's YAML, its short forms made long ones.

    Raises:
        TemplateError: it is no YAML, or no mapping.
    """
    try:
        content = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader, with the short forms added
    except yaml.YAMLError as error:
        raise TemplateError(f"not YAML: {error}") from error
    if not isinstance(content, dict):
        raise TemplateError("not a mapping")
    return content


class Resolver:
    """Replaces parameters and intrinsics anywhere in a template."""

    def __init__(self, content: Mapping[str, Any], parameters: Mapping[str, str]) -> None:
        self._resources: Mapping[str, Any] = content.get("Resources", {})
        self._conditions: Mapping[str, Any] = content.get("Conditions", {})
        self._parameters = _choose_parameters(content.get("Parameters", {}), parameters)
        self._intrinsics: dict[str, Callable[[Any], Any]] = {
            "Ref": self._ref,
            "Fn::Sub": self._sub,
            "Fn::GetAtt": self._get_att,
            "Fn::If": self._if,
            "Fn::Equals": self._equals,
            "Fn::Not": self._not,
            "Fn::And": self._and,
            "Fn::Or": self._or,
            "Fn::Join": self._join,
            "Condition": self._condition,
        }

    def resolve(self, value: Any) -> Any:
        """Give the value with everything in it replaced.

        Raises:
            TemplateError: it refers to what does not exist, or uses an intrinsic that is not known here.
        """
        if isinstance(value, list):
            return [item for item in map(self.resolve, value) if item is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            name, argument = next(iter(value.items()))
            if name in self._intrinsics and (name != "Condition" or isinstance(argument, str)):
                return self._intrinsics[name](argument)
            if isinstance(name, str) and name.startswith("Fn::"):
                raise TemplateError(f"{name}: an intrinsic that the local stack does not know")
        resolved = {key: self.resolve(item) for key, item in value.items()}
        return {key: item for key, item in resolved.items() if item is not NO_VALUE}

    def name(self, logical_id: str) -> str:
        """Give the physical name of a resource: its own choice, or what the stack and its logical id make."""
        resource = self._resource(logical_id)
        chosen = resource.get("Properties", {}).get(NAME_PROPERTIES.get(resource["Type"]))
        if chosen is not None:
            return str(self.resolve(chosen))
        return f"{STACK_NAME}-{_kebab(logical_id)}"

    def arn(self, logical_id: str) -> str:
        """Give the ARN of a resource."""
        kind = self._resource(logical_id)["Type"]
        if kind not in ARNS:
            raise TemplateError(f"{logical_id}.Arn: not known for {kind}")
        return ARNS[kind].format(name=self.name(logical_id))

    def holds(self, condition: str) -> bool:
        """Say whether a condition of the template is true."""
        if condition not in self._conditions:
            raise TemplateError(f"there is no condition {condition}")
        return bool(self.resolve(self._conditions[condition]))

    def _resource(self, logical_id: str) -> Mapping[str, Any]:
        if logical_id not in self._resources:
            raise TemplateError(f"there is no resource, parameter or pseudo parameter {logical_id}")
        resource: Mapping[str, Any] = self._resources[logical_id]
        return resource

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return NO_VALUE
        if name in self._parameters:
            return self._parameters[name]
        if name in PSEUDO_PARAMETERS:
            return PSEUDO_PARAMETERS[name]
        match self._resource(name)["Type"]:
            case "AWS::SQS::Queue":
                return QUEUE_URL.format(name=self.name(name))
            case "AWS::SecretsManager::Secret":
                return SECRET_ARN.format(name=self.name(name))
            case _:
                return self.name(name)

    def _sub(self, argument: Any) -> str:
        text, own = (argument, {}) if isinstance(argument, str) else argument
        values = self.resolve(own)

        def replace(match: re.Match[str]) -> str:
            name = match[1]
            if name.startswith("!"):
                return f"${{{name[1:]}}}"
            if name in values:
                return str(values[name])
            return str(self._get_att(name) if "." in name else self._ref(name))

        return re.sub(r"\$\{([^}]*)\}", replace, text)

    def _get_att(self, argument: Any) -> str:
        logical_id, _, attribute = (
            argument.partition(".") if isinstance(argument, str) else (argument[0], ".", argument[1])
        )
        if attribute != "Arn":
            raise TemplateError(f"{logical_id}.{attribute}: an attribute that the local stack does not know")
        return self.arn(logical_id)

    def _if(self, argument: Any) -> Any:
        condition, yes, no = argument
        return self.resolve(yes if self.holds(condition) else no)

    def _equals(self, argument: Any) -> bool:
        one, other = argument
        return str(self.resolve(one)) == str(self.resolve(other))

    def _not(self, argument: Any) -> bool:
        return not self.resolve(argument[0])

    def _and(self, argument: Any) -> bool:
        return all(map(self.resolve, argument))

    def _or(self, argument: Any) -> bool:
        return any(map(self.resolve, argument))

    def _join(self, argument: Any) -> str:
        separator, parts = argument
        return str(separator).join(map(str, self.resolve(parts)))

    def _condition(self, name: str) -> bool:
        return self.holds(name)


class _NoValue:
    """What `AWS::NoValue` is: the property is left out."""


NO_VALUE = _NoValue()


def _kebab(logical_id: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", logical_id).lower()


def _choose_parameters(declared: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    if unknown := given.keys() - declared.keys():
        raise TemplateError(f"there is no parameter {', '.join(sorted(unknown))}")
    chosen: dict[str, str] = {}
    for name, rules in declared.items():
        if name not in given and "Default" not in rules:
            raise TemplateError(f"parameter {name}: has no default and was not given")
        value = str(given.get(name, rules.get("Default")))
        allowed = list(map(str, rules.get("AllowedValues", [value])))
        if value not in allowed:
            raise TemplateError(f"parameter {name}: {value!r} is not one of {', '.join(allowed)}")
        if not re.fullmatch(rules.get("AllowedPattern", ".*"), value, re.DOTALL):
            raise TemplateError(f"parameter {name}: {value!r} does not fit {rules['AllowedPattern']}")
        chosen[name] = value
    return chosen

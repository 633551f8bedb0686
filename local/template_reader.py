"""Reading: template.yaml becomes typed resources, as far as they have a stand-in here."""

import json
import re
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from local.resources import (
    DEFAULT_ROUTE,
    Bucket,
    Function,
    Queue,
    QueueSource,
    Route,
    Rule,
    Schedule,
    Secret,
    Table,
    Template,
)
from local.template import TEMPLATE_FILE, Resolver, TemplateError, read_yaml

ASKED_ALWAYS = {"Context": ["routeKey"], "ReauthorizeEvery": 0}
"""An authorizer's identity that each call has, and nothing is remembered of."""
SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}


def load_template(parameters: Mapping[str, str] | None = None, file: Path = TEMPLATE_FILE) -> Template:
    """Read the template with its parameters' defaults, or what is given in their place.

    Raises:
        TemplateError: it says something that cannot be, or that the local stack does not know; names the resource.
    """
    return _Reader(read_yaml(file.read_text(encoding="utf-8")), parameters or {}).read()


class _Reader:
    """Reads one template."""

    def __init__(self, content: dict[str, Any], parameters: Mapping[str, str]) -> None:
        self._resolver = Resolver(content, parameters)
        self._globals: dict[str, Any] = content.get("Globals", {}).get("Function", {})
        self._resources: dict[str, dict[str, Any]] = content.get("Resources", {})

    def read(self) -> Template:
        """Read every resource that has a stand-in."""
        return Template(
            functions={name: self._function(name, body) for name, body in self._of("AWS::Serverless::Function")},
            tables=tuple(self._table(name, body) for name, body in self._of("AWS::DynamoDB::Table")),
            buckets=tuple(self._bucket(name, body) for name, body in self._of("AWS::S3::Bucket")),
            queues=self._queues(),
            rules=tuple(self._rule(name, body) for name, body in self._of("AWS::Events::Rule")),
            secrets=tuple(self._secret(name, body) for name, body in self._of("AWS::SecretsManager::Secret")),
        )

    def _of(self, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for logical_id, resource in self._resources.items():
            if resource["Type"] == kind and self._exists(resource):
                try:
                    yield logical_id, self._resolver.resolve(self._with_globals(kind, resource.get("Properties", {})))
                except TemplateError as error:
                    raise TemplateError(f"{logical_id}: {error}") from error

    def _exists(self, resource: dict[str, Any]) -> bool:
        return "Condition" not in resource or self._resolver.holds(resource["Condition"])

    def _with_globals(self, kind: str, properties: dict[str, Any]) -> dict[str, Any]:
        if kind != "AWS::Serverless::Function":
            return properties
        shared, own = (part.get("Environment", {}).get("Variables", {}) for part in (self._globals, properties))
        return self._globals | properties | {"Environment": {"Variables": shared | own}}

    def _function(self, logical_id: str, body: dict[str, Any]) -> Function:
        events: dict[str, dict[str, Any]] = body.get("Events", {})
        arn = self._resolver.arn(logical_id)
        routes, queues, schedules = [], [], []
        for name, event in events.items():
            properties = event.get("Properties", {})
            match event["Type"]:
                case "HttpApi":
                    routes.append(self._route(properties))
                case "SQS":
                    queues.append(_queue_source(properties))
                case "Schedule":
                    schedules.append(
                        Schedule(f"{self._resolver.name(logical_id)}-{name}", _seconds(properties["Schedule"]))
                    )
                case kind:
                    raise TemplateError(
                        f"{logical_id}.Events.{name}: {kind} is an event that the local stack does not know"
                    )
        return Function(
            logical_id=logical_id,
            name=self._resolver.name(logical_id),
            arn=arn,
            handler=body["Handler"],
            timeout=int(body.get("Timeout", 3)),
            memory=int(body.get("MemorySize", 128)),
            environment={key: _text(value) for key, value in body["Environment"]["Variables"].items()},
            routes=tuple(routes),
            queues=tuple(queues),
            schedules=tuple(schedules),
        )

    def _route(self, properties: dict[str, Any]) -> Route:
        auth = self._resources[self._api()].get("Properties", {}).get("Auth", {})
        chosen = properties.get("Auth", {}).get("Authorizer", auth.get("DefaultAuthorizer", "NONE"))
        function = None
        path = properties.get("Path", DEFAULT_ROUTE)
        if chosen != "NONE":
            authorizer = auth.get("Authorizers", {}).get(chosen)
            if authorizer is None:
                raise TemplateError(f"{path}: there is no authorizer {chosen}")
            if authorizer.get("Identity") != ASKED_ALWAYS:
                raise TemplateError(
                    f"{chosen}: the local stack asks authorizers of each call: Identity: {ASKED_ALWAYS}"
                )
            function = self._function_of(self._resolver.resolve(authorizer["FunctionArn"]))
        return Route(method=properties.get("Method", "ANY").upper(), path=path, authorizer=function)

    def _api(self) -> str:
        apis = [name for name, resource in self._resources.items() if resource["Type"] == "AWS::Serverless::HttpApi"]
        if len(apis) != 1:
            raise TemplateError(f"expected one AWS::Serverless::HttpApi, found {len(apis)}")
        return apis[0]

    def _function_of(self, arn: str) -> str:
        for name, resource in self._resources.items():
            if resource["Type"] == "AWS::Serverless::Function" and self._resolver.arn(name) == arn:
                return name
        raise TemplateError(f"no function has the ARN {arn}")

    def _table(self, logical_id: str, body: dict[str, Any]) -> Table:
        wanted = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode", "StreamSpecification")
        request = {"TableName": self._resolver.name(logical_id), **{key: body[key] for key in wanted if key in body}}
        if "StreamSpecification" in request:
            # CloudFormation turns the stream on by naming its view; the API wants both said.
            request["StreamSpecification"] = {"StreamEnabled": True, **request["StreamSpecification"]}
        ttl = body.get("TimeToLiveSpecification", {})
        return Table(request, ttl.get("AttributeName") if ttl.get("Enabled") else None)

    def _bucket(self, logical_id: str, body: dict[str, Any]) -> Bucket:
        notifies = body.get("NotificationConfiguration", {}).get("EventBridgeConfiguration", {})
        return Bucket(
            name=self._resolver.name(logical_id),
            notifies_eventbridge=bool(notifies.get("EventBridgeEnabled", bool(notifies))),
            is_versioned=body.get("VersioningConfiguration", {}).get("Status") == "Enabled",
        )

    def _queues(self) -> tuple[Queue, ...]:
        queues = []
        for logical_id, body in self._of("AWS::SQS::Queue"):
            kept = (
                "VisibilityTimeout",
                "MessageRetentionPeriod",
                "DelaySeconds",
                "MaximumMessageSize",
                "RedrivePolicy",
            )
            attributes = {key: _text(body[key]) for key in kept if key in body}
            queues.append(Queue(self._resolver.name(logical_id), attributes))
        return tuple(sorted(queues, key=lambda queue: "RedrivePolicy" in queue.attributes))

    def _rule(self, logical_id: str, body: dict[str, Any]) -> Rule:
        targets = tuple((target["Id"], target["Arn"]) for target in body.get("Targets", []))
        return Rule(self._resolver.name(logical_id), body["EventPattern"], targets)

    def _secret(self, logical_id: str, body: dict[str, Any]) -> Secret:
        value = body.get("SecretString", "")
        if rules := body.get("GenerateSecretString"):
            random = secrets.token_hex(32)
            content = json.loads(rules.get("SecretStringTemplate", "{}"))
            key = rules.get("GenerateStringKey")
            value = json.dumps(content | {key: random}) if key else random
        return Secret(logical_id, self._resolver.name(logical_id), value)


def _queue_source(properties: dict[str, Any]) -> QueueSource:
    arn: str = properties["Queue"]
    return QueueSource(
        queue=arn.rpartition(":")[2],
        queue_arn=arn,
        batch_size=int(properties.get("BatchSize", 10)),
        reports_failures="ReportBatchItemFailures" in properties.get("FunctionResponseTypes", []),
    )


def _seconds(expression: str) -> int:
    match = re.fullmatch(r"rate\((\d+) (second|minute|hour|day)s?\)", expression)
    if match is None:
        raise TemplateError(f"{expression}: a schedule that the local stack does not know; it knows rate(...)")
    return int(match[1]) * SECONDS[match[2]]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value) if isinstance(value, dict) else str(value)

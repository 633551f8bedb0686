"""Functions and queue are open to what starts them, and to nobody else."""

import copy
import re
from typing import Any

import pytest

from local.template import ACCOUNT_ID, PARTITION, REGION, TEMPLATE_FILE, read_yaml
from local.template_reader import load_template
from tests.iam.policies import Request, as_list, is_allowed, statements
from tests.iam.stack import Stack, transform

API = f"arn:{PARTITION}:execute-api:{REGION}:{ACCOUNT_ID}:darkroom-api"
RULE = f"arn:{PARTITION}:events:{REGION}:{ACCOUNT_ID}:rule/"
QUEUE = f"arn:{PARTITION}:sqs:{REGION}:{ACCOUNT_ID}:darkroom-uploads"
UPLOADS = Request("sqs:SendMessage", QUEUE, "events.amazonaws.com", {"aws:sourcearn": f"{RULE}darkroom-upload-rule"})


@pytest.fixture(scope="module")
def content() -> dict[str, Any]:
    """The template as SAM makes it of ours."""
    return transform(read_yaml(TEMPLATE_FILE.read_text(encoding="utf-8")), {})


def test_each_function_is_open_to_what_starts_it(content: dict[str, Any]) -> None:
    """Each may be invoked by its routes of our API, its rules, or our API as its authorizer, and by nothing else.

    SAM leaves open the stage of a route, the parts of its path that vary, and the authorizer's id, which is not known
    when the permission is made; of a function that has the default route it opens the whole API.
    """
    stack, wanted = Stack(content, {}), set()
    for function in load_template().functions.values():
        for route in function.routes:
            has_default = any(other.is_default for other in function.routes)
            path = "*" if has_default else route.method + re.sub(r"\{[^}]*\}", "*", route.path)
            wanted.add((function.name, "apigateway.amazonaws.com", f"{API}/*/{path}"))
            if route.authorizer:
                authorizer = load_template().functions[route.authorizer]
                wanted.add((authorizer.name, "apigateway.amazonaws.com", f"{API}/authorizers/*"))
    for rule, body in stack.of("AWS::Events::Rule"):
        functions = [_name(target["Arn"]) for target in body["Targets"] if ":lambda:" in target["Arn"]]
        wanted |= {(name, "events.amazonaws.com", stack.arn(rule)) for name in functions}
    permissions = [body for _, body in stack.of("AWS::Lambda::Permission")]
    assert {body["Action"] for body in permissions} == {"lambda:InvokeFunction"}
    assert {(_name(one["FunctionName"]), one["Principal"], one.get("SourceArn")) for one in permissions} == wanted
    assert {name for name, *_ in wanted} == {
        _name(one.arn) for one in load_template().functions.values() if not one.queues
    }


def _name(function: str) -> str:
    """The name of a function that may be given by its ARN."""
    return function.rpartition(":")[2]


def queue_policies(content: dict[str, Any]) -> list[dict[str, Any]]:
    """The policies of all queues."""
    return [body["PolicyDocument"] for _, body in Stack(content, {}).of("AWS::SQS::QueuePolicy")]


def test_the_queue_is_open_to_the_rule(content: dict[str, Any]) -> None:
    """The rule about uploads may send to the queue, and to where what fails is; nothing and nobody else is let in."""
    policies = queue_policies(content)
    assert is_allowed(policies, UPLOADS)
    assert is_allowed(policies, UPLOADS._replace(resource=f"{QUEUE}-dead"))
    for other in (
        UPLOADS._replace(action="sqs:ReceiveMessage"),
        UPLOADS._replace(resource=f"{QUEUE}-other"),
        UPLOADS._replace(action="sqs:ReceiveMessage", resource=f"{QUEUE}-dead"),
        UPLOADS._replace(service="s3.amazonaws.com"),
        UPLOADS._replace(context={"aws:sourcearn": f"{RULE}another"}),
        UPLOADS._replace(context={"aws:sourcearn": UPLOADS.context["aws:sourcearn"].replace(ACCOUNT_ID, "2" * 12)}),
        UPLOADS._replace(context={}),
    ):
        assert not is_allowed(policies, other), other
    for policy in policies:
        for statement in statements(policy):
            values = [statement["Principal"], statement["Action"], *as_list(statement["Resource"])]
            assert not re.search(r"[*?]", str([*values, statement["Condition"]]))


def test_a_queue_without_its_condition_is_found(content: dict[str, Any]) -> None:
    """Without the condition any rule of anybody could send, and the check above would see it."""
    opened = copy.deepcopy(content)
    del opened["Resources"]["UploadsPolicy"]["Properties"]["PolicyDocument"]["Statement"][0]["Condition"]
    assert is_allowed(queue_policies(opened), UPLOADS._replace(context={}))

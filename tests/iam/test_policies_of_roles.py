"""Each function's role may do what the function does, and nothing else."""

import copy
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest

from local.template import TEMPLATE_FILE, read_yaml
from tests.iam.faults import Fault, faults_of, grants_of, table_of
from tests.iam.needs import RESOURCES, Need
from tests.iam.policies import Request, is_allowed
from tests.iam.random_runs import record_schedules
from tests.iam.recording import record
from tests.iam.stack import Stack, transform

NEEDLESS = (*RESOURCES, "dynamodb:DeleteItem", "dynamodb:Scan", "s3:DeleteObject", "s3:Get*", "sts:AssumeRole", "*")
"""Actions of which no function needs all."""
SCHEDULES = 200


@cache
def template_text() -> str:
    """The template as it is in the repository."""
    return TEMPLATE_FILE.read_text(encoding="utf-8")


@cache
def transformed() -> dict[str, Any]:
    """What SAM makes of it."""
    return transform(read_yaml(template_text()), {})


@cache
def recorded() -> dict[str, set[Need]]:
    """What the functions need where the template's parameters have their defaults."""
    return record(environment_of(Stack(transformed(), {})))


@cache
def faults() -> set[Fault]:
    """The faults of the template, which should be none."""
    return faults_of(Stack(transformed(), {}), recorded())


def faults_with(content: dict[str, Any]) -> set[Fault]:
    """The faults that a changed template has on top."""
    return faults_of(Stack(content, {}), recorded()) - faults()


def environment_of(stack: Stack) -> dict[str, str]:
    """The variables of a function, which are those of each."""
    first, *others = [function.environment for function in stack.functions()]
    assert all(other == first for other in others)
    return first


def statements_of(content: dict[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The statements that each role has in its own policies, in a list that can be changed."""
    for logical_id, resource in content["Resources"].items():
        if resource["Type"] == "AWS::IAM::Role":
            policy = resource["Properties"]["Policies"][0]
            yield logical_id, policy["PolicyDocument"]["Statement"]


def allow(action: str, resource: str) -> dict[str, str]:
    """A statement that allows one action on one resource."""
    return {"Effect": "Allow", "Action": action, "Resource": resource}


@cache
def plain() -> dict[str, Any]:
    """Functions and roles as they are made, with one statement for each action and resource in one policy of a role."""
    stack = Stack(transformed(), {})
    kinds = ("AWS::Lambda::Function", "AWS::Lambda::EventSourceMapping", "AWS::IAM::Role")
    content: dict[str, Any] = {
        name: {"Type": kind, "Properties": body} for kind in kinds for name, body in stack.of(kind)
    }
    for function in stack.functions():
        statements = [allow(*grant) for grant in grants_of(function.own_policies)]
        content[function.role]["Properties"]["Policies"] = [{"PolicyDocument": {"Statement": statements}}]
    return {"Resources": content}


def wider(resource: str) -> set[str]:
    """A resource cut off before and behind each of its signs, region and account left open, every resource there is."""
    parts = resource.split(":", 5)
    ends = {end for index, sign in enumerate(resource) if sign in ":/-" for end in (index, index + 1)}
    cuts = {resource[:end] + "*" for end in {*ends, len(resource.rstrip("*?"))}}
    cuts = {cut for cut in cuts if cut.count(":") >= 5}
    anywhere = {":".join((*parts[:3], "*", "*", parts[5]))} if parts[3] else set()
    return ({"*"} | cuts | anywhere) - {resource}


def test_each_role_is_exactly_enough() -> None:
    """Every call of a day with all kinds of calls is granted, each grant is used, and none could be narrower."""
    assert not faults(), "\n" + table_of(faults())


@pytest.mark.parametrize(
    ("inputs", "outputs", "prefix"),
    [
        ("darkroom-inputs", "darkroom-outputs", ""),
        ("darkroom-inputs", "darkroom-inputs", "edited/"),
        ("", "", "edited/"),
    ],
    ids=["own-buckets", "one-bucket", "prefix"],
)
def test_roles_follow_the_parameters(inputs: str, outputs: str, prefix: str) -> None:
    """The same holds where buckets that were there before are used, and where outputs have a folder of theirs."""
    parameters = {"InputsBucketName": inputs, "OutputsBucketName": outputs, "OutputsPrefix": prefix}
    stack = Stack(transform(read_yaml(template_text()), parameters), parameters)
    found = faults_of(stack, record(environment_of(stack)))
    assert not found, "\n" + table_of(found)


def test_every_function_was_recorded() -> None:
    """The day leaves no function of the template out."""
    assert recorded().keys() == {function.handler for function in Stack(transformed(), {}).functions()}


def test_no_schedule_of_faults_needs_more() -> None:
    """Whatever goes wrong, no function asks for what its role may not do."""
    functions = {function.handler: function for function in Stack(transformed(), {}).functions()}
    for handler, needs in record_schedules(range(SCHEDULES)).items():
        policies = functions[handler].policies
        assert needs
        assert not [need for need in needs if not is_allowed(policies, Request(*need))]


def test_a_grant_less_is_found(record_property: Callable[[str, object], None]) -> None:
    """Whichever action on whichever resource is taken from a role, something is missing."""
    tried = 0
    for role, statements in statements_of(plain()):
        for index, statement in enumerate(statements):
            content = copy.deepcopy(plain())
            del dict(statements_of(content))[role][index]
            assert "missing" in {fault.what for fault in faults_with(content)}, (role, statement)
            tried += 1
    record_property("actions on a resource that a role may do; without any of them a call is refused", tried)
    assert tried >= 30


def test_a_grant_more_is_found(record_property: Callable[[str, object], None]) -> None:
    """Whatever a role is given that it does not need, be it what another one needs, stands out."""
    others = {(one["Action"], one["Resource"]) for _, statements in statements_of(plain()) for one in statements}
    tried = 0
    for role, statements in statements_of(plain()):
        own = {(one["Action"], one["Resource"]) for one in statements}
        granted = {action for action, _ in own}
        needless = {(action, statements[0]["Resource"]) for action in set(NEEDLESS) - granted} | others - own
        for action, resource in sorted(needless):
            content = copy.deepcopy(plain())
            dict(statements_of(content))[role].append(allow(action, resource))
            assert faults_with(content), (role, action, resource)
            tried += 1
    record_property("needless actions on a resource, each found when a role is given it", tried)
    assert tried >= 100


def test_a_wider_resource_is_found(record_property: Callable[[str, object], None]) -> None:
    """Whichever resource is made wider by a step or by many, it stands out."""
    tried = 0
    for role, statements in statements_of(plain()):
        for index, statement in enumerate(statements):
            for resource in sorted(wider(statement["Resource"])):
                content = copy.deepcopy(plain())
                dict(statements_of(content))[role][index]["Resource"] = resource
                assert faults_with(content), (role, statement["Action"], resource)
                tried += 1
    record_property("wider resources, each found when it takes the place of a role's own", tried)
    assert tried >= 150


@pytest.mark.parametrize(
    ("old", "new", "what", "action"),
    [
        ("dynamodb:PutItem, ", "", "missing", "dynamodb:PutItem"),
        ('"s3:ListBucket"', '"s3:ListBucketVersions"', "missing", "s3:ListBucket"),
        ("index/due", "index/*", "too wide", "dynamodb:Query"),
        ("/webhook-??????", "/*", "too wide", "secretsmanager:GetSecretValue"),
        ("[dynamodb:GetItem, dynamodb:UpdateItem]", '"dynamodb:*"', "wildcard action", "dynamodb:*"),
        ('"s3:PutObject"', '["s3:PutObject", "s3:DeleteObject"]', "unused", "s3:DeleteObject"),
    ],
)
def test_a_change_of_the_file_is_found(old: str, new: str, what: str, action: str) -> None:
    """The same holds from the text of template.yaml through SAM's translator."""
    text = template_text()
    assert old in text
    found = faults_with(transform(read_yaml(text.replace(old, new)), {}))
    assert (what, action) in {(fault.what, fault.action) for fault in found}


def test_a_policy_of_awss_own_is_found() -> None:
    """The policy that SAM itself gives to pollers, for every queue and log of the account, stands out in any role."""
    for role, _ in statements_of(plain()):
        content = copy.deepcopy(plain())
        arn = "arn:aws:iam::aws:policy/service-role/AWSLambdaSQSQueueExecutionRole"
        content["Resources"][role]["Properties"]["ManagedPolicyArns"] = [arn]
        found = faults_of(Stack(content, {}), recorded())
        assert {("sqs:ReceiveMessage", "*"), ("logs:PutLogEvents", "*")} <= {one[2:] for one in found}


def test_another_role_is_found() -> None:
    """A role that no function has, one that others may take, and a policy that stands alone are all found."""
    content = copy.deepcopy(transformed())
    roles = content["Resources"]
    name, role = next((name, body) for name, body in roles.items() if body["Type"] == "AWS::IAM::Role")
    roles["Another"] = copy.deepcopy(role)
    trusted = copy.deepcopy(role)
    trusted["Properties"]["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] = {"AWS": "*"}
    roles[name] = trusted
    roles["More"] = {"Type": "AWS::IAM::Policy", "Properties": {"Roles": [{"Ref": name}]}}
    assert {(fault.function, fault.what) for fault in faults_with(content)} >= {
        ("Another", "no function's role"),
        (name, "not for Lambda alone"),
        ("AWS::IAM::Policy", "not looked at"),
    }

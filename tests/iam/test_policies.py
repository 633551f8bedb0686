"""The evaluator judges as the IAM user guide says; its examples, and the ways in which it must not guess."""

from typing import Any

import pytest

from tests.iam.policies import PolicyError, Request, is_allowed, matches_action, matches_resource

BUCKET = "arn:aws:s3:::amzn-s3-demo-bucket"


def allow(**more: Any) -> dict[str, Any]:
    """A policy with one statement that allows."""
    return {"Version": "2012-10-17", "Statement": {"Effect": "Allow", **more}}


def deny(**more: Any) -> dict[str, Any]:
    """A policy with one statement that denies."""
    return {"Statement": [{"Effect": "Deny", **more}]}


READ = allow(Action="s3:GetObject", Resource=f"{BUCKET}/*")
BOTH = allow(Action=["s3:PutObject", "s3:GetObject"], Resource=["arn:aws:s3:::other/*", f"{BUCKET}/*"])
SOURCE = {"ArnEquals": {"aws:SourceArn": "arn:aws:events:us-east-1:111122223333:rule/one"}}
INVOKED = allow(Principal={"Service": "events.amazonaws.com"}, Action="sqs:SendMessage", Resource="*", Condition=SOURCE)


@pytest.mark.parametrize(
    ("pattern", "action", "covers"),
    [
        ("s3:GetObject", "s3:GetObject", True),
        ("S3:getobject", "s3:GetObject", True),
        ("s3:GetObject", "s3:GetObjectVersion", False),
        ("s3:GetObjectVersion", "s3:GetObject", False),
        ("iam:*AccessKey*", "iam:ListAccessKeys", True),
        ("iam:*AccessKey*", "iam:GetUser", False),
        ("s3:Get?bject", "s3:GetObject", True),
        ("s3:Get?Object", "s3:GetObject", False),
        ("s3:*", "sqs:SendMessage", False),
        ("s3.GetObject", "s3:GetObject", False),
        ("*", "sqs:SendMessage", True),
    ],
)
def test_actions(pattern: str, action: str, covers: bool) -> None:
    """Letter case does not matter, `*` is any text, `?` one character, and nothing else is a sign."""
    assert matches_action(pattern, action) is covers


@pytest.mark.parametrize(
    ("pattern", "arn", "covers"),
    [
        (BUCKET, BUCKET, True),
        (BUCKET, f"{BUCKET}/a.jpg", False),
        (f"{BUCKET}/*", BUCKET, False),
        (f"{BUCKET}/*", f"{BUCKET}/a/b.jpg", True),
        (f"{BUCKET}/*", f"{BUCKET}-other/a.jpg", False),
        (f"{BUCKET}*", f"{BUCKET}-other/a.jpg", True),
        (f"{BUCKET}/*/test/*", f"{BUCKET}/1/2/test/3/object.jpg", True),
        (f"{BUCKET}/*/test/*", f"{BUCKET}/1-test/object.jpg", False),
        (f"{BUCKET}/A.jpg", f"{BUCKET}/a.jpg", False),
        ("arn:aws:iam::111122223333:user/accounting/*", "arn:aws:iam::111122223333:user/accounting/bob", True),
        ("arn:aws:dynamodb:us-east-1:1:table/jobs", "arn:aws:dynamodb:us-east-1:1:table/jobs/index/due", False),
        ("arn:aws:sqs:*:1:jobs", "arn:aws:sqs:us-east-1:1:jobs", True),
        ("arn:aws:sqs:us-*-1:1:jobs", "arn:aws:sqs:us-east:2:x-1:1:jobs", False),
        ("arn:aws:sqs:us-east-1:*", "arn:aws:sqs:us-east-1:1:jobs", True),
        ("arn:aws:logs:us-east-1:1:log-group:a:*", "arn:aws:logs:us-east-1:1:log-group:a:log-stream:b", True),
        ("arn:aws:logs:us-east-1:1:log-group:a:*", "arn:aws:logs:us-east-1:1:log-group:ab:log-stream:b", False),
        ("arn:aws:secretsmanager:r:1:secret:n-??????", "arn:aws:secretsmanager:r:1:secret:n-AbCdEf", True),
        ("arn:aws:secretsmanager:r:1:secret:n-??????", "arn:aws:secretsmanager:r:1:secret:n-x-AbCdEf", False),
        ("*", BUCKET, True),
    ],
)
def test_resources(pattern: str, arn: str, covers: bool) -> None:
    """Letter case matters, and `*` reaches beyond a colon only at the end of its segment."""
    assert matches_resource(pattern, arn) is covers


@pytest.mark.parametrize(
    ("documents", "action", "resource", "allowed"),
    [
        ([], "s3:GetObject", f"{BUCKET}/a", False),
        ([READ], "s3:GetObject", f"{BUCKET}/a", True),
        ([READ], "s3:PutObject", f"{BUCKET}/a", False),
        ([READ], "s3:GetObject", BUCKET, False),
        ([READ, deny(Action="s3:*", Resource=f"{BUCKET}/secret/*")], "s3:GetObject", f"{BUCKET}/a", True),
        ([READ, deny(Action="s3:*", Resource=f"{BUCKET}/secret/*")], "s3:GetObject", f"{BUCKET}/secret/a", False),
        ([deny(Action="*", Resource="*"), READ], "s3:GetObject", f"{BUCKET}/a", False),
        ([READ, deny(Action="s3:*", NotResource=[BUCKET, f"{BUCKET}/*"])], "s3:GetObject", f"{BUCKET}/a", True),
        ([READ, deny(Action="s3:*", NotResource=BUCKET)], "s3:GetObject", f"{BUCKET}/a", False),
        ([READ, deny(NotAction="s3:*", Resource="*")], "s3:GetObject", f"{BUCKET}/a", True),
        ([READ, deny(NotAction="iam:*", Resource="*")], "s3:GetObject", f"{BUCKET}/a", False),
        ([allow(NotAction="iam:*", Resource="*")], "s3:GetObject", f"{BUCKET}/a", True),
        ([BOTH], "s3:GetObject", f"{BUCKET}/a", True),
        ([BOTH], "s3:PutObject", "arn:aws:s3:::other/a", True),
    ],
)
def test_decisions(documents: list[dict[str, Any]], action: str, resource: str, allowed: bool) -> None:
    """What nobody allows is refused, and a single denial outweighs all that allow."""
    assert is_allowed(documents, Request(action, resource)) is allowed


@pytest.mark.parametrize(
    ("service", "context", "allowed"),
    [
        ("events.amazonaws.com", {"aws:sourcearn": "arn:aws:events:us-east-1:111122223333:rule/one"}, True),
        ("events.amazonaws.com", {"aws:sourcearn": "arn:aws:events:us-east-1:111122223333:rule/two"}, False),
        ("events.amazonaws.com", {}, False),
        ("sns.amazonaws.com", {"aws:sourcearn": "arn:aws:events:us-east-1:111122223333:rule/one"}, False),
    ],
)
def test_policies_of_resources(service: str, context: dict[str, str], allowed: bool) -> None:
    """Who calls and where from must both fit; a key that the request lacks does not."""
    assert is_allowed([INVOKED], Request("sqs:SendMessage", "arn:aws:sqs:r:1:q", service, context)) is allowed


def test_values_of_a_condition_are_alternatives() -> None:
    """One value of a key is enough, but each key and each operator must hold."""
    conditions = {"StringEquals": {"aws:SourceAccount": ["1", "2"]}, "ArnLike": {"aws:SourceArn": "arn:aws:s3:::a*"}}
    policy = allow(Principal="*", Action="sqs:*", Resource="*", Condition=conditions)
    request = Request("sqs:SendMessage", "arn:aws:sqs:r:1:q", "s3.amazonaws.com")
    source = {"aws:sourceaccount": "2", "aws:sourcearn": "arn:aws:s3:::ab"}
    assert is_allowed([policy], request._replace(context=source))
    assert not is_allowed([policy], request._replace(context=source | {"aws:sourceaccount": "3"}))
    assert not is_allowed([policy], request._replace(context=source | {"aws:sourcearn": "arn:aws:s3:::b"}))


@pytest.mark.parametrize(
    "policy",
    [
        allow(Action="s3:GetObject", Resource="*", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}),
        allow(Action="s3:GetObject", Resource=["*", "arn:aws:s3:::home/${aws:username}/*"]),
        allow(Action="s3:GetObject", Resource="arn:aws:*:::bucket/*"),
        allow(Action="s3:GetObject", Resource="bucket/*"),
        allow(Action="s3:GetObject"),
        allow(Action="s3:GetObject", NotAction="s3:PutObject", Resource="*"),
        allow(Action="s3:GetObject", Resource="*", Principal={"Service": "s3.amazonaws.com"}),
        allow(Action="s3:GetObject", Resource="*", Principals="*"),
        {"Version": "2008-10-17", "Statement": []},
        {"Statement": {"Effect": "Perhaps", "Action": "*", "Resource": "*"}},
    ],
)
def test_what_is_not_known_is_an_error(policy: dict[str, Any]) -> None:
    """A policy that cannot be judged is said to be so, also where another statement would have decided."""
    with pytest.raises(PolicyError):
        is_allowed([policy, READ], Request("s3:GetObject", f"{BUCKET}/a"))

"""Reading template.yaml."""

from pathlib import Path

import pytest

from local.resources import Template
from local.template import Resolver, TemplateError, read_yaml
from local.template_reader import load_template

HEAD = """
Parameters:
  Size: { Type: String, Default: small, AllowedValues: [small, large] }
  Name: { Type: String, Default: x, AllowedPattern: "[a-z]+" }
Conditions:
  Large: !Equals [!Ref Size, large]
  Small: !Not [!Condition Large]
Resources:
  Queue: { Type: AWS::SQS::Queue }
  DeadQueue: { Type: AWS::SQS::Queue, Properties: { QueueName: !Sub "${Name}-dead" } }
  Pictures: { Type: AWS::S3::Bucket }
  Key: { Type: AWS::SecretsManager::Secret, Properties: { Name: !Sub "${AWS::StackName}/key" } }
  Alarm: { Type: AWS::CloudWatch::Alarm }
"""


def resolve(yaml: str, **parameters: str) -> object:
    """Resolve the value `yaml` next to HEAD."""
    content = read_yaml(HEAD + f"Value: {yaml}")
    return Resolver(content, parameters).resolve(content["Value"])


@pytest.mark.parametrize(
    ("yaml", "value"),
    [
        ("!Ref Name", "x"),
        ("!Ref AWS::Region", "us-east-1"),
        ("!Ref Pictures", "darkroom-pictures"),
        ("!Ref Queue", "https://sqs.us-east-1.amazonaws.com/123456789012/darkroom-queue"),
        ("!Ref DeadQueue", "https://sqs.us-east-1.amazonaws.com/123456789012/x-dead"),
        ("!Ref Key", "arn:aws:secretsmanager:us-east-1:123456789012:secret:darkroom/key"),
        ("!Ref Alarm", "darkroom-alarm"),
        ("!GetAtt Pictures.Arn", "arn:aws:s3:::darkroom-pictures"),
        ("!GetAtt [DeadQueue, Arn]", "arn:aws:sqs:us-east-1:123456789012:x-dead"),
        ("{ Fn::GetAtt: [Queue, Arn] }", "arn:aws:sqs:us-east-1:123456789012:darkroom-queue"),
        ("!Sub '${Pictures.Arn}/*'", "arn:aws:s3:::darkroom-pictures/*"),
        ("!Sub '${!Literal} ${Name}'", "${Literal} x"),
        ("!Sub ['${Own}-${Name}', { Own: !Ref Size }]", "small-x"),
        ("!Join ['-', [a, !Ref Name, b]]", "a-x-b"),
        ("!If [Large, 1, 2]", 2),
        ("!If [Small, { a: !Ref Name }, 2]", {"a": "x"}),
        ("{ a: 1, b: !Ref AWS::NoValue, c: [!Ref AWS::NoValue, 3] }", {"a": 1, "c": [3]}),
        ("{ Condition: { StringEquals: { a: b } } }", {"Condition": {"StringEquals": {"a": "b"}}}),
    ],
)
def test_intrinsics(yaml: str, value: object) -> None:
    """Each intrinsic gives what CloudFormation would give."""
    assert resolve(yaml) == value


def test_a_parameter_that_is_given_wins() -> None:
    """A given parameter replaces the default, also in conditions."""
    assert resolve("!If [Large, !Ref Size, no]", Size="large") == "large"


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("!Select [0, [a]]", "Fn::Select: an intrinsic that the local stack does not know"),
        ("!Ref Nobody", "there is no resource, parameter or pseudo parameter Nobody"),
        ("!Sub '${Nobody}'", "there is no resource"),
        ("!GetAtt Pictures.Website", "Pictures.Website: an attribute"),
        ("!GetAtt Alarm.Arn", "Alarm.Arn: not known for AWS::CloudWatch::Alarm"),
        ("!If [Nothing, 1, 2]", "there is no condition Nothing"),
    ],
)
def test_what_is_not_known_is_an_error(yaml: str, message: str) -> None:
    """What the local stack cannot resolve is said clearly instead of passed over."""
    with pytest.raises(TemplateError, match=message):
        resolve(yaml)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"Size": "huge"}, "parameter Size: 'huge' is not one of small, large"),
        ({"Name": "UPPER"}, r"parameter Name: 'UPPER' does not fit \[a-z\]\+"),
        ({"Other": "x"}, "there is no parameter Other"),
    ],
)
def test_a_wrong_parameter_is_an_error(parameters: dict[str, str], message: str) -> None:
    """A parameter's value must be one that a deployment would take."""
    with pytest.raises(TemplateError, match=message):
        resolve("x", **parameters)


def test_a_parameter_without_value_is_an_error() -> None:
    """A parameter without default must be given."""
    with pytest.raises(TemplateError, match="parameter Key: has no default"):
        Resolver(read_yaml("Parameters: { Key: { Type: String } }"), {})


@pytest.mark.parametrize("text", ["a: [", "- a list"])
def test_broken_yaml_is_an_error(text: str) -> None:
    """A file that is no template is a template error too."""
    with pytest.raises(TemplateError):
        read_yaml(text)


def test_functions_have_environment_and_sources(template: Template) -> None:
    """Globals are merged into each function, and events become routes, queues and schedules."""
    submit = template.functions["SubmitFromUpload"]
    assert submit.handler == "functions.submit.from_upload"
    assert submit.timeout == 150
    assert submit.memory == 512
    assert submit.environment["JOB_TABLE"] == "darkroom-jobs"
    assert submit.environment["FAL_KEY_SECRET"] == "darkroom/fal-key"
    assert submit.environment["FAL_OUTPUT_EXPIRY"] == "86400"
    assert [(source.queue, source.batch_size, source.reports_failures) for source in submit.queues] == [
        ("darkroom-uploads", 5, True)
    ]
    assert [schedule.seconds for schedule in template.functions["Sweep"].schedules] == [60]


def test_routes_have_their_authorizer(template: Template) -> None:
    """The API's default authorizer holds for each route that does not say NONE."""
    routes = {
        f"{route.method} {route.path}": route.authorizer
        for function in template.functions.values()
        for route in function.routes
    }
    assert routes["POST /jobs"] == "Authorize"
    assert routes["GET /jobs/{job_id}"] == "Authorize"
    assert routes["GET /health"] is None
    assert routes["POST /webhooks/fal/{job_id}"] is None


def test_physical_names(template: Template) -> None:
    """Buckets, tables and queues are called after the stack and their logical ids, dead-letter queues first."""
    assert {bucket.name: bucket.notifies_eventbridge for bucket in template.buckets} == {
        "darkroom-inputs": True,
        "darkroom-outputs": False,
    }
    assert [table.request["TableName"] for table in template.tables] == ["darkroom-jobs"]
    assert [queue.name for queue in template.queues] == ["darkroom-uploads-dead", "darkroom-uploads"]


def write(folder: Path, event: str) -> Path:
    """Write a template with one function that `event` starts."""
    file = folder / "template.yaml"
    file.write_text(f"""
Resources:
  Api:
    Type: AWS::Serverless::HttpApi
  Work:
    Type: AWS::Serverless::Function
    Properties:
      Handler: functions.work.handler
      Events:
        Start: {event}
""")
    return file


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ("{ Type: SNS, Properties: {} }", "Work.Events.Start: SNS is an event that the local stack does not know"),
        ("{ Type: Schedule, Properties: { Schedule: 'cron(0 1 * * ? *)' } }", "knows rate"),
        (
            "{ Type: HttpApi, Properties: { Method: GET, Path: /x, Auth: { Authorizer: Nobody } } }",
            "/x: there is no authorizer Nobody",
        ),
        ("{ Type: SQS, Properties: { Queue: !GetAtt Nothing.Arn } }", "Work: there is no resource"),
    ],
)
def test_an_event_that_is_not_known_is_an_error(tmp_path: Path, event: str, message: str) -> None:
    """A function that nothing here could start does not pass silently."""
    with pytest.raises(TemplateError, match=message):
        load_template(file=write(tmp_path, event))


def test_a_schedule_counts_in_its_unit(tmp_path: Path) -> None:
    """rate(2 hours) is 7200 seconds; timeout and memory have Lambda's defaults."""
    template = load_template(file=write(tmp_path, "{ Type: Schedule, Properties: { Schedule: rate(2 hours) } }"))
    work = template.functions["Work"]
    assert work.schedules[0].seconds == 7200
    assert (work.timeout, work.memory) == (3, 128)

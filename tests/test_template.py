"""template.yaml and the code agree."""

import importlib
import json
import re

import pytest

from local.resources import Template
from local.template import TEMPLATE_FILE, Resolver, TemplateError, read_yaml
from local.template_reader import load_template
from shared import waiting
from shared.jobs import Job
from shared.settings import Settings


@pytest.fixture(scope="module")
def template() -> Template:
    """The template with its defaults."""
    return load_template()


def test_every_handler_is_there(template: Template) -> None:
    """Each function of the template names a callable of the code."""
    for function in template.functions.values():
        module, _, name = function.handler.rpartition(".")
        assert callable(getattr(importlib.import_module(module), name))


def test_every_function_gets_every_setting(template: Template) -> None:
    """Each setting is an environment variable of each function, but for the key, which stands in no variable on AWS."""
    wanted = {name.upper() for name in Settings.model_fields} - {"FAL_KEY"}
    for function in template.functions.values():
        own = {name for name in function.environment if not name.startswith("POWERTOOLS_")}
        assert own == wanted
        assert Settings.from_environment(function.environment).fal_queue_url == "https://queue.fal.run"


def test_defaults_of_the_template_are_those_of_the_code(template: Template) -> None:
    """A function without parameters behaves as one without variables."""
    given = Settings.from_environment(template.functions["Callback"].environment)
    needed = {
        "JOB_TABLE": given.job_table,
        "INPUTS_BUCKET": given.inputs_bucket,
        "OUTPUTS_BUCKET": given.outputs_bucket,
    }
    alone = Settings.from_environment(needed)
    for name in (
        "fal_queue_url",
        "fal_jwks_url",
        "fal_output_hosts",
        "fal_auth_scheme",
        "fal_output_expiry",
        "upload_owner",
        "poll_seconds",
    ):
        assert getattr(given, name) == getattr(alone, name)


def test_the_table_has_the_code_s_keys(template: Template) -> None:
    """Keys, index keys and the time to live are attributes of a job's row."""
    (table,) = template.tables
    attributes = {definition["AttributeName"] for definition in table.request["AttributeDefinitions"]}
    assert attributes <= {*Job.model_fields, "open_shard"}
    assert table.ttl_attribute == "expires_at"
    assert {"by_owner", "due"} == {index["IndexName"] for index in table.request["GlobalSecondaryIndexes"]}


def test_messages_stay_hidden_long_enough(template: Template) -> None:
    """A queue hides its messages for six times as long as its function may run (AWS docs: SQS event sources)."""
    hidden = {
        queue.name: int(queue.attributes["VisibilityTimeout"])
        for queue in template.queues
        if "VisibilityTimeout" in queue.attributes
    }
    for function in template.functions.values():
        for source in function.queues:
            assert hidden[source.queue] == 6 * function.timeout
            assert source.reports_failures


def test_only_fal_and_the_health_check_need_no_token(template: Template) -> None:
    """Every other route asks the authorizer, and what is no route finds none."""
    open_routes = {
        route.key for function in template.functions.values() for route in function.routes if route.authorizer is None
    }
    assert open_routes == {"POST /webhooks/fal/{job_id}", "GET /health", "HEAD /health", "$default"}


def test_what_answers_get_answers_head(template: Template) -> None:
    """API Gateway takes a HEAD for no GET, so each route that reads stands there twice."""
    for function in template.functions.values():
        paths = {verb: {route.path for route in function.routes if route.method == verb} for verb in ("GET", "HEAD")}
        assert paths["GET"] == paths["HEAD"]


@pytest.mark.parametrize("days", ["0", "1", "2", "3", "4", "30"])
def test_uploads_outlive_their_jobs(days: str) -> None:
    """CloudFormation refuses to delete uploads before the three days are over that a job may wait for its own."""
    content = read_yaml(TEMPLATE_FILE.read_text())
    (assertion,) = content["Rules"]["UploadsOutliveTheirJobs"]["Assertions"]
    is_taken = Resolver(content, {"InputsDays": days}).resolve(assertion["Assert"])
    assert is_taken == (days == "0" or int(days) * 24 * 3600 > waiting.ACCEPTANCE)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("InputsBucketName", "s3://photos"),
        ("InputsBucketName", "Photos"),
        ("OutputsBucketName", "pictures/edited"),
        ("OutputsBucketName", "a"),
        ("FalQueueUrl", "http://queue.fal.run"),
    ],
)
def test_slips_in_parameters_are_refused(parameter: str, value: str) -> None:
    """CloudFormation names the parameter before it makes anything."""
    with pytest.raises(TemplateError, match=parameter):
        Resolver(read_yaml(TEMPLATE_FILE.read_text()), {parameter: value})


def test_an_upload_event_is_not_lost_on_its_way() -> None:
    """What the rule cannot put into the queue it may put beside the dead letters, where an alarm rings."""
    resources = read_yaml(TEMPLATE_FILE.read_text())["Resources"]
    (target,) = resources["UploadRule"]["Properties"]["Targets"]
    assert target["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": "UploadsDead.Arn"}}
    policy = resources["UploadsDeadPolicy"]["Properties"]
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert policy["Queues"] == [{"Ref": "UploadsDead"}]
    assert statement["Action"] == "sqs:SendMessage"
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": "UploadRule.Arn"}}}


def test_buckets_refuse_http() -> None:
    """Each bucket of the stack's own denies everybody what comes without TLS."""
    resources = read_yaml(TEMPLATE_FILE.read_text())["Resources"]
    for name in ("Inputs", "Outputs"):
        policy = resources[f"{name}Policy"]
        assert (policy["Condition"], policy["Properties"]["Bucket"]) == (f"Own{name}", {"Ref": name})
        (statement,) = policy["Properties"]["PolicyDocument"]["Statement"]
        assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert len(statement["Resource"]) == 2


def test_no_secret_stands_in_a_variable(template: Template) -> None:
    """Variables name secrets and hold none."""
    for function in template.functions.values():
        assert not [name for name in function.environment if re.search("KEY$|TOKEN$", name)]


ONE_BUCKET = {"InputsBucketName": "pictures", "OutputsBucketName": "pictures"}


@pytest.mark.parametrize(
    ("parameters", "is_refused"),
    [
        ({}, False),
        (ONE_BUCKET, True),
        (ONE_BUCKET | {"OutputsPrefix": "edited/"}, False),
        ({"InputsBucketName": "photos", "OutputsBucketName": "pictures"}, False),
        ({"OutputsBucketName": "pictures"}, False),
    ],
)
def test_one_bucket_without_a_prefix_is_not_deployed(parameters: dict[str, str], is_refused: bool) -> None:
    """CloudFormation refuses, before it makes anything, a stack in which each output would be an upload."""
    content = read_yaml(TEMPLATE_FILE.read_text())
    rule = content["Rules"]["OneBucketNeedsPrefix"]
    resolver = Resolver(content, parameters)
    applies = resolver.resolve(rule["RuleCondition"])
    assert (applies and not resolver.resolve(rule["Assertions"][0]["Assert"])) == is_refused


def test_existing_buckets_are_used_and_not_made() -> None:
    """With names of buckets given, functions are told these, and the stack makes none."""
    template = load_template({"InputsBucketName": "photos", "OutputsBucketName": "pictures", "OutputsPrefix": "a/b/"})
    assert template.buckets == ()
    for function in template.functions.values():
        settings = Settings.from_environment(function.environment)
        assert (settings.inputs_bucket, settings.outputs_bucket) == ("photos", "pictures")
        assert settings.outputs_prefix == "a/b/"


def test_deleting_the_stack_deletes_no_picture_and_no_job() -> None:
    """Buckets and table stay when the stack goes or replaces them, but not when it could not be made at all."""
    for resource in read_yaml(TEMPLATE_FILE.read_text())["Resources"].values():
        if resource["Type"] in {"AWS::S3::Bucket", "AWS::DynamoDB::Table"}:
            assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")


def test_pictures_are_kept_unless_days_are_given() -> None:
    """By default only old versions are deleted, after a month; with InputsDays or OutputsDays pictures too."""
    content = read_yaml(TEMPLATE_FILE.read_text())
    for name in ("Inputs", "Outputs"):
        (rule,) = content["Resources"][name]["Properties"]["LifecycleConfiguration"]["Rules"]
        kept = Resolver(content, {}).resolve(rule)
        assert "ExpirationInDays" not in kept
        assert kept["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
        assert Resolver(content, {f"{name}Days": "7"}).resolve(rule)["ExpirationInDays"] == "7"


def test_a_webhook_call_s_mac_is_in_no_access_log() -> None:
    """The access log has the route, and neither path nor query, which carry what proves a webhook URL to be ours."""
    api = read_yaml(TEMPLATE_FILE.read_text())["Resources"]["Api"]["Properties"]
    line = api["AccessLogSettings"]["Format"]["Fn::Sub"]
    logged = set(re.findall(r"\$context\.([\w.]+)", line))
    assert json.loads(line).keys() >= {"service", "route", "status", "error"}
    assert not {field for field in logged if field in {"path", "protocol"} or "query" in field.lower()}
    # A message may hold a quote, which would break the line.
    assert not {field for field in logged if "message" in field.lower()}


def test_the_webhook_route_is_throttled_tighter_than_the_others() -> None:
    """Whoever floods the one open route leaves room for the others."""
    api = read_yaml(TEMPLATE_FILE.read_text())["Resources"]["Api"]["Properties"]
    webhook = api["RouteSettings"]["POST /webhooks/fal/{job_id}"]
    for limit in ("ThrottlingRateLimit", "ThrottlingBurstLimit"):
        assert 0 < webhook[limit] < api["DefaultRouteSettings"][limit]

"""The stack as a whole: which commands SAM is given, in which order, and what is said before and after.

SAM itself is stood in for by a program that notes how it was called: it needs an account.
"""

import os
import pty
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from local.deployed.stack import DeployedStack
from tests.local.deployed.conftest import ROOT, Api, Cloud

pytestmark = pytest.mark.long

ANSWERS = """version = 0.1
[default.deploy.parameters]
stack_name = "{stack}"
region = "us-east-1"
confirm_changeset = true
"""


def make(cloud: Cloud, *words: str, typed: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run make with the project's Makefile where the stand-in for SAM is, and everything counts as installed."""
    for name in ("Makefile", "template.yaml"):
        if not (cloud.folder / name).exists():
            (cloud.folder / name).symlink_to(ROOT / name)
    for lock, installed in (("local", ".venv/local"), ("sam", ".tools/sam/ready")):
        (cloud.folder / f"requirements-{lock}.txt").touch()
        (cloud.folder / installed).parent.mkdir(parents=True, exist_ok=True)
        (cloud.folder / installed).touch()
    command = ["make", f"BIN={Path(sys.executable).parent}", f"SAM={cloud.folder / 'sam'}", *words]
    return subprocess.run(  # noqa: S603 - our own Makefile
        command,
        cwd=cloud.folder,
        env=cloud.environment | environment,
        input=typed,
        capture_output=True,
        text=True,
        check=False,
    )


def deploy_in_terminal(cloud: Cloud, **environment: str) -> tuple[int, str]:
    """Deploy where somebody could answer, and give the exit code and what was shown."""
    terminal, typed_into = pty.openpty()
    shown = ""
    for command in (["announce"], ["deploy", "--sam", str(cloud.folder / "sam")]):
        result = subprocess.run(  # noqa: S603 - our own module
            [sys.executable, "-m", "local.deployed", *command],
            cwd=cloud.folder,
            env=cloud.environment | environment,
            stdin=typed_into,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        shown += result.stdout
    os.close(terminal)
    os.close(typed_into)
    return result.returncode, shown


def test_without_credentials_nothing_is_built(account: Cloud) -> None:
    """`make deploy` without credentials is one clear sentence, before anything takes time."""
    result = make(account, "deploy", AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
    assert result.returncode
    assert result.stderr.splitlines()[0].startswith("error: No AWS credentials were found. Sign in first")
    assert account.sam_calls() == []


def test_deploy_builds_deploys_and_says_what_comes_next(cloud: Cloud) -> None:
    """Where nobody can answer, SAM is not guided: it builds, then deploys by samconfig.toml and asks nothing."""
    result = make(cloud, "deploy")
    assert result.returncode == 0, result.stderr
    build, deploy = cloud.sam_calls()
    assert build[0] == "build"
    assert deploy == [
        *("deploy", "--stack-name", "darkroom", "--region", "us-east-1", "--no-fail-on-empty-changeset"),
        *("--parameter-overrides", 'Architecture="arm64" UploadOwner="uploads" FalAuthScheme="Key" AlarmEmail=""'),
        *("--config-file", "samconfig.toml", "--no-confirm-changeset"),
    ]
    assert "Deploys the stack darkroom to us-east-1, account 123456789012" in result.stdout
    for line in (
        "make fal-key ",
        "make token NAME=uploads ",
        "alarms tell nobody",
        "/products/   (preset studio-shot)",
    ):
        assert line in result.stdout


def test_a_stack_that_is_not_well_set_up_is_told(cloud: Cloud, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A preset or a parameter that the functions refuse ends the deploy with an error, after the next steps."""
    monkeypatch.setattr("local.deployed.next_steps.PAUSES", (0, 0))
    api.status = 500
    result = cloud.run("deploy", "--sam", str(cloud.folder / "sam"))
    assert result.returncode == 1
    assert result.stderr == (
        f"error: The stack is deployed, but {cloud.api_url}/health answers 500. make logs shows why.\n"
    )
    api.server_close()
    assert "does not answer" in cloud.run("deploy", "--sam", str(cloud.folder / "sam")).stderr


def test_what_is_done_is_no_next_step(account: Cloud) -> None:
    """After key, token and address for alarms are there, only the ways in and out are shown."""
    account.create_stack("other", UploadOwner="shop", AlarmEmail="ops@example.com")
    account.run("--stack", "other", "fal-key", typed="id:secret")
    account.run("--stack", "other", "token", "--name", "shop")
    result = make(account, "deploy", "STACK=other")
    assert "make logs STACK=other" in result.stdout
    for word in ("fal-key", "make token", "alarms"):
        assert word not in result.stdout


def test_the_processor_that_was_built_for_is_deployed(cloud: Cloud) -> None:
    """Without saved answers, as in CI, SAM is told for which processor the functions were built."""
    cloud.run("deploy", "--sam", str(cloud.folder / "sam"), "--built", "x86_64")
    (call,) = cloud.sam_calls()
    assert 'Architecture="x86_64"' in call[call.index("--parameter-overrides") + 1]


def test_another_machine_is_proposed_what_the_stack_has(account: Cloud) -> None:
    """Without saved answers each parameter of the stack is proposed as it is, and not as the template's default."""
    account.create_stack(UploadOwner="shop", FalAuthScheme="Bearer", AlarmEmail='"ops" <ops@example.com>')
    deploy_in_terminal(account, SAM_ANSWERS=ANSWERS.format(stack="darkroom"))
    (call,) = account.sam_calls()
    proposed = dict(word.split("=", 1) for word in shlex.split(call[call.index("--parameter-overrides") + 1]))
    assert proposed == {
        "Architecture": "arm64",
        "UploadOwner": "shop",
        "FalAuthScheme": "Bearer",
        "AlarmEmail": '"ops" <ops@example.com>',
    }


@pytest.mark.parametrize("status", ["ROLLBACK_COMPLETE", "CREATE_FAILED", "DELETE_FAILED"])
def test_a_stack_that_can_only_be_deleted(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, status: str) -> None:
    """What CloudFormation would refuse after minutes of building is refused before, with what to do."""
    monkeypatch.setattr(DeployedStack, "find", lambda place: DeployedStack(place, status, {}, {}))
    result = cloud.run("announce")
    assert result.returncode == 1
    assert f"is {status}, and cannot be updated. `make destroy` removes" in result.stderr


def test_wrong_presets_are_told_before_anything_is_built(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Presets with which each upload would fail are not deployed: every fault is told, with its line."""
    file = tmp_path / "wrong.yaml"
    file.write_text("presets:\n  a: { arguments: { prompt: x }, uploads: [{}] }\n  b: { tier: ultra }\n")
    monkeypatch.setattr("local.deployed.deployment.PRESETS_FILE", file)
    result = cloud.run("announce")
    assert (result.returncode, result.stdout) == (1, "")
    assert [line.rpartition("wrong.yaml")[2].split(": ")[:2] for line in result.stderr.splitlines()] == [
        [":2", "presets.a.uploads.0"],
        [":3", "presets.b.tier"],
        [":3", "presets.b.arguments"],
    ]


def test_a_change_set_that_is_declined(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who declines the changes of a first deploy is told that nothing is deployed."""
    monkeypatch.setattr(DeployedStack, "read", lambda place: DeployedStack(place, "REVIEW_IN_PROGRESS", {}, {}))
    result = cloud.run("deploy", "--sam", str(cloud.folder / "sam"))
    assert (result.returncode, result.stderr) == (1, "error: The changes were not confirmed. Nothing is deployed.\n")


def test_answers_that_were_edited(cloud: Cloud) -> None:
    """A list, which SAM takes too, is read; what is no TOML is an error that names the file and the line."""
    file = cloud.folder / "samconfig-darkroom.toml"
    file.write_text('[default.deploy.parameters]\nparameter_overrides = ["Architecture=x86_64", "file://more.yaml"]\n')
    assert cloud.run("architecture").stdout == "x86_64\n"
    file.write_text("[default\n")
    result = cloud.run("architecture")
    assert result.returncode == 1
    assert result.stderr.startswith("error: samconfig-darkroom.toml: ")


def test_yes_of_the_environment_destroys_nothing(cloud: Cloud) -> None:
    """Only a YES that was typed counts, as some systems have variables of such names."""
    result = make(cloud, "destroy", YES="1")
    assert result.returncode
    assert cloud.sam_calls() == []


@pytest.mark.parametrize(
    ("command", "options"),
    [
        (
            "deploy",
            (
                *("--stack-name", "--region", "--no-fail-on-empty-changeset", "--parameter-overrides", "--guided"),
                *("--capabilities", "--config-file", "--no-confirm-changeset"),
            ),
        ),
        ("logs", ("--region", "--cw-log-group", "--tail")),
        ("delete", ("--stack-name", "--region", "--no-prompts")),
    ],
)
def test_the_real_sam_has_the_options(command: str, options: tuple[str, ...]) -> None:
    """The SAM of the lock knows each option that it is given here."""
    sam = ROOT / ".tools" / "sam" / "bin" / "sam"
    shown = subprocess.run([sam, command, "--help"], capture_output=True, text=True, check=True).stdout  # noqa: S603 - the project's own SAM
    for option in options:
        assert re.search(rf"(?<![\w-]){option.replace('--no-', '--(no-)?')}\b", shown), option


def test_a_failed_deploy(cloud: Cloud) -> None:
    """When SAM fails nothing is said of next steps, and make fails."""
    result = cloud.run("deploy", "--sam", str(cloud.folder / "sam"), SAM_EXIT="1")
    assert result.returncode == 1
    assert result.stderr == "error: `sam deploy` ended with 1.\n"
    assert "is deployed" not in result.stdout


def test_the_first_deploy_is_guided(cloud: Cloud) -> None:
    """In a terminal SAM asks; the answers are kept in a file of the stack's own, and the next deploy does not ask."""
    code, shown = deploy_in_terminal(cloud, SAM_ANSWERS=ANSWERS.format(stack="darkroom"))
    assert code == 0, shown
    assert "SAM asks for the parameters and keeps the answers in samconfig-darkroom.toml" in shown
    code, shown = deploy_in_terminal(cloud)
    assert code == 0, shown
    assert "SAM deploys by samconfig-darkroom.toml" in shown
    first, second = cloud.sam_calls()
    assert first[first.index("--guided") :] == [
        *("--guided", "--capabilities", "CAPABILITY_IAM", "--config-file", "samconfig-darkroom.toml"),
    ]
    assert "--parameter-overrides" not in second
    assert second[-2:] == ["--config-file", "samconfig-darkroom.toml"]
    assert "--guided" not in second
    assert cloud.run("deploy", "--sam", str(cloud.folder / "sam")).returncode == 0
    assert cloud.sam_calls()[2][-1] == "--no-confirm-changeset"


def test_another_name_at_the_prompt(account: Cloud) -> None:
    """Who gives the stack another name than was proposed finds the answers under that name, and is told."""
    account.create_stack("studio")
    code, shown = deploy_in_terminal(account, SAM_ANSWERS=ANSWERS.format(stack="studio"))
    assert code == 0, shown
    assert "give STACK=studio with each command" in shown
    assert "make fal-key STACK=studio" in shown
    assert sorted(file.name for file in account.folder.glob("samconfig*")) == [
        "samconfig-studio.toml",
        "samconfig.toml",
    ]


def test_the_processor_is_that_of_the_stack(account: Cloud) -> None:
    """What is built is for the processor of the answers, or of the stack; another that is typed is refused."""
    assert account.run("architecture").stdout == "arm64\n"
    assert account.run("architecture", "--typed", "x86_64").stdout == "x86_64\n"
    account.create_stack(Architecture="x86_64")
    assert account.run("architecture").stdout == "x86_64\n"
    result = make(account, "deploy", "ARCHITECTURE=arm64")
    assert result.returncode
    assert "ARCHITECTURE is arm64, but darkroom runs on x86_64" in result.stderr
    assert account.sam_calls() == []
    answers = ANSWERS.format(stack="darkroom") + 'parameter_overrides = "Architecture=\\"arm64\\" AlarmEmail=\\"\\""\n'
    (account.folder / "samconfig-darkroom.toml").write_text(answers)
    assert account.run("architecture").stdout == "arm64\n"


def test_another_processor_at_the_prompt(cloud: Cloud) -> None:
    """Who answers SAM with another processor than was built for is told, and the next deploy builds for it."""
    answers = ANSWERS.format(stack="darkroom") + 'parameter_overrides = "Architecture=\\"x86_64\\""\n'
    code, shown = deploy_in_terminal(cloud, SAM_ANSWERS=answers)
    assert code == 1
    assert "You answered x86_64, but the functions were built for arm64" in shown
    assert cloud.run("architecture").stdout == "x86_64\n"


def test_answers_that_are_not_kept(cloud: Cloud) -> None:
    """Where SAM did not save, or failed before, nothing is left that would look like answers."""
    deploy_in_terminal(cloud)
    code, _ = deploy_in_terminal(cloud, SAM_EXIT="1")
    assert code == 1
    assert [file.name for file in cloud.folder.glob("samconfig*")] == ["samconfig.toml"]
    assert all("--guided" in call for call in cloud.sam_calls())


def test_answers_stay_out_of_git() -> None:
    """The file with the answers is ignored, samconfig.toml is not."""
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert "/samconfig-*.toml" in ignored


def test_what_is_not_confirmed_is_not_destroyed(cloud: Cloud) -> None:
    """Another word than the stack's name, or none, deletes nothing."""
    for typed in ("yes\n", "\n", ""):
        result = cloud.run("destroy", "--sam", str(cloud.folder / "sam"), typed=typed)
        assert result.returncode == 1
        assert "Nothing was deleted" in result.stderr
    assert cloud.sam_calls() == []


@pytest.mark.parametrize(("words", "typed"), [((), "darkroom\n"), (("YES=1",), "")])
def test_destroy(cloud: Cloud, words: tuple[str, ...], typed: str) -> None:
    """Once confirmed SAM deletes the stack; what stays is named, and the commands that are shown delete just that."""
    result = make(cloud, "destroy", *words, typed=typed)
    assert result.returncode == 0, result.stderr
    assert cloud.sam_calls() == [["delete", "--stack-name", "darkroom", "--region", "us-east-1", "--no-prompts"]]
    s3, dynamodb = cloud.client("s3"), cloud.client("dynamodb")
    buckets = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    (table,) = dynamodb.list_tables()["TableNames"]
    before, _, after = result.stdout.partition("The stack is deleted.")
    assert len(buckets) == 2
    for name in (*buckets, table):
        assert name in before
    s3.put_bucket_versioning(Bucket=buckets[0], VersioningConfiguration={"Status": "Enabled"})
    for body in (b"old", b"new"):
        s3.put_object(Bucket=buckets[0], Key="products/cup.jpg", Body=body)
    commands = re.findall(r"^  \.venv/bin/python (.*)$", after, re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        subprocess.run([sys.executable, *shlex.split(command)], env=cloud.environment, check=True)  # noqa: S603 - what was shown
    assert s3.list_buckets()["Buckets"] == []
    with pytest.raises(ClientError, match="not found"):
        dynamodb.describe_table(TableName=table)


def test_logs_are_followed_by_group(cloud: Cloud) -> None:
    """Each log group of the stack is followed once."""
    result = make(cloud, "logs")
    (group,) = [group["logGroupName"] for group in cloud.client("logs").describe_log_groups()["logGroups"]]
    assert cloud.sam_calls() == [["logs", "--region", "us-east-1", "--cw-log-group", group, "--tail"]]
    assert f"Follows {group}" in result.stdout


def test_ctrl_c_ends_logs(cloud: Cloud) -> None:
    """Logs are followed until Ctrl-C, which is no failure."""
    command = [sys.executable, "-m", "local.deployed", "logs", "--sam", str(cloud.folder / "sam")]
    with subprocess.Popen(  # noqa: S603 - our own module
        command,
        cwd=cloud.folder,
        env=cloud.environment | {"SAM_WAITS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout
        while "waiting" not in process.stdout.readline():
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(30) == 0


def test_make_only_shows_what_deploy_would_do(cloud: Cloud) -> None:
    """`make -n deploy` runs nothing, neither build nor deploy."""
    result = make(cloud, "-n", "deploy")
    assert result.returncode == 0, result.stderr
    assert "local.deployed  deploy" in result.stdout
    assert cloud.sam_calls() == []


def test_a_processor_that_lambda_lacks(cloud: Cloud) -> None:
    """`make build` names what there is, before SAM is asked."""
    result = make(cloud, "build", "ARCHITECTURE=arm")
    assert result.returncode
    assert "ARCHITECTURE is arm: Lambda has arm64 and x86_64" in result.stderr
    assert cloud.sam_calls() == []


def test_make_hands_on_what_was_typed(cloud: Cloud) -> None:
    """`make token`, `tokens`, `revoke` and `fal-key` reach the stack; a NAME of the environment is nobody's."""
    assert "NAME=… says whose it is" in make(cloud, "token", NAME="this-machine").stderr
    assert "A token of alice" in make(cloud, "token", "NAME=alice").stdout
    token_id, owner = make(cloud, "tokens").stdout.split()
    assert owner == "alice"
    assert "is revoked" in make(cloud, "revoke", f"ID={token_id}").stdout
    assert make(cloud, "fal-key", typed="id:secret").returncode == 0
    assert "There is no stack other" in make(cloud, "tokens", "STACK=other").stderr

"""`python -m local.deployed`: what `make deploy`, `fal-key`, `token`, `pause`, `logs`, `destroy` and the like run."""

import argparse
import sys

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from local.deployed.architecture import DEFAULT, choose_architecture
from local.deployed.deployment import announce_deploy, deploy, destroy, follow_logs
from local.deployed.fal_key import put_fal_key
from local.deployed.sending import deployed_breaker, local_breaker, pause, resume
from local.deployed.stack import NO_CREDENTIALS, DeployedError, DeployedStack, Place
from local.deployed.tokens import list_tokens, make_token, revoke_token
from local.settings import LocalError
from shared.errors import SettingsError

INTERRUPTED = 130


def main() -> int:
    """Run one command; the result is the exit code, and what goes wrong is one sentence, or one for each fault."""
    try:
        arguments = _read_arguments()
        run = _switch_sending if arguments.command in {"pause", "resume"} else _run
        run(arguments)
    except (DeployedError, LocalError, SettingsError) as error:
        message = str(error)
    except NoCredentialsError:
        message = NO_CREDENTIALS
    except ClientError as error:
        message = f"AWS refused {error.operation_name}: {error.response['Error'].get('Message')}"
    except BotoCoreError as error:
        message = f"AWS could not be asked: {error}"
    except KeyboardInterrupt:
        return INTERRUPTED
    else:
        return 0
    print(f"error: {message}", file=sys.stderr)
    return 1


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.deployed", description="Work with a deployed stack.")
    parser.add_argument("--stack", help="its name; without, the one in samconfig.toml")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("announce", "fal-key", "tokens"):
        commands.add_parser(name)
    for name in ("deploy", "logs", "destroy"):
        commands.add_parser(name).add_argument("--sam", default="sam", help="the SAM CLI")
    commands.add_parser("architecture").add_argument("--typed", help="the processor that was typed")
    commands.choices["deploy"].add_argument("--built", default=DEFAULT, help="the processor that was built for")
    commands.choices["destroy"].add_argument("--yes", action="store_true", help="do not ask")
    for name in ("pause", "resume"):
        commands.add_parser(name).add_argument("--local", action="store_true", help="of a running `make local`")
    commands.add_parser("token").add_argument("--name", help="whose token it is")
    commands.add_parser("revoke").add_argument("--id", help="which token, as `tokens` shows it")
    return parser.parse_args()


def _run(arguments: argparse.Namespace) -> None:
    place = Place.find(arguments.stack)
    match arguments.command:
        case "announce":
            announce_deploy(place)
        case "deploy":
            deploy(place, arguments.sam, arguments.built)
        case "architecture":
            print(choose_architecture(place, arguments.typed))
        case "fal-key":
            put_fal_key(DeployedStack.read(place))
        case "token":
            make_token(DeployedStack.read(place), arguments.name)
        case "tokens":
            list_tokens(DeployedStack.read(place))
        case "revoke":
            revoke_token(DeployedStack.read(place), arguments.id)
        case "logs":
            follow_logs(DeployedStack.read(place), arguments.sam)
        case "destroy":
            destroy(DeployedStack.read(place), arguments.sam, confirmed=arguments.yes)


def _switch_sending(arguments: argparse.Namespace) -> None:
    if arguments.local:
        breaker, what = local_breaker(), "the local stack"
    else:
        stack = DeployedStack.read(Place.find(arguments.stack))
        breaker, what = deployed_breaker(stack), f"{stack.name} in {stack.place.region}"
    (pause if arguments.command == "pause" else resume)(breaker, what)


if __name__ == "__main__":
    sys.exit(main())

"""The words of `sam local` commands, what they may know, and how their answers are read."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local.container_process import FunctionError
from local.resources import Function
from local.settings import ROOT
from local.template import REGION

COMMAND = ROOT / ".tools" / "sam" / "bin" / "sam"
SERVING = (str(COMMAND.with_name("python")), "-m", "local.sam_serving")
"""SAM's command where it serves: with our doorkeeper before its ports."""
STOP_SECONDS = 10.0
"""SAM removes its containers before it ends."""


def write_template(template: Mapping[str, Any], folder: Path) -> Path:
    """Write a derived template where SAM can read it; JSON is YAML too."""
    file = folder / "template.yaml"
    file.write_text(json.dumps(template), encoding="utf-8")
    return file


def sam_local(command: str, template: Path, *arguments: str) -> list[str]:
    """The words of a `sam local` command; the image is there already, and SAM would ask for a newer one each time."""
    return [str(COMMAND), "local", command, *arguments, "--template", str(template), "--skip-pull-image"]


def sam_environment(functions: Mapping[str, Function]) -> dict[str, str]:
    """The environment for SAM, which would let a variable that is set there win over the template's value.

    It holds no AWS credentials: with some, SAM would ask AWS whose they are. Functions get keys that it makes up.
    """
    declared = {name for function in functions.values() for name in function.environment}
    hidden = {name for name in os.environ if name in declared or name.startswith("AWS_")}
    return {name: value for name, value in os.environ.items() if name not in hidden} | {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_DEFAULT_REGION": REGION,
        "SAM_CLI_TELEMETRY": "0",
    }


def read_answer(text: str) -> Any:
    """What a function answered.

    Raises:
        FunctionError: it raised, ran out of time, or died.
    """
    try:
        answer = json.loads(text)
    except ValueError:
        # The runtime's own word, of a function that was cut off.
        raise FunctionError("Runtime.ExitError", text.strip() or "no answer") from None
    if isinstance(answer, dict) and "errorType" in answer:
        raise FunctionError(answer["errorType"], answer.get("errorMessage", ""))
    return answer

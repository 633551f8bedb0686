"""The template that `sam local` runs: what `sam build` made for this machine, with the values that hold here."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local.docker import host_architecture
from local.foreground import NO_PROXY
from local.resources import Function
from local.settings import LocalError
from local.template import TEMPLATE_FILE, read_yaml


def read_built(folder: Path) -> dict[str, Any]:
    """Read the template that `sam build` put into a folder."""
    return read_yaml((folder / "template.yaml").read_text(encoding="utf-8"))


def derive_template(
    built: Mapping[str, Any],
    functions: Mapping[str, Function],
    environment: Mapping[str, str],
    folder: Path,
) -> dict[str, Any]:
    """The built template as `sam local` can use it.

    SAM takes `!Ref Jobs` for the name `Jobs`, and hands a function no variable but those that the template gives it. So
    each function gets the values that the template means here, and `environment` besides. Docker may hand containers a
    proxy, which does not lead to the stand-ins.

    Args:
        built: what `sam build` made of the template.
        functions: what the template holds, resolved.
        environment: variables for all functions.
        folder: what paths in `built` start from.

    Raises:
        LocalError: functions and build do not fit.
    """
    derived: dict[str, Any] = json.loads(json.dumps(built))
    found = {name: resource for name, resource in derived["Resources"].items() if _is_function(resource)}
    if found.keys() != functions.keys():
        raise LocalError(f"{TEMPLATE_FILE.name} has other functions than what was built of it: run `make` for it again")
    for name, resource in found.items():
        properties = resource["Properties"]
        properties["CodeUri"] = str(folder / properties["CodeUri"])
        properties["Environment"] = {"Variables": {**functions[name].environment, **environment, **NO_PROXY}}
        properties["Architectures"] = [host_architecture()]
    return derived


def _is_function(resource: Mapping[str, Any]) -> bool:
    return bool(resource["Type"] == "AWS::Serverless::Function")

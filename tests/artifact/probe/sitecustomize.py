"""Python imports this at its start; it writes the name of each source that is compiled from then on into a file."""

import importlib._bootstrap_external as external
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

really: Callable[..., Any] = external.SourceLoader.source_to_code


def source_to_code(self: external.SourceLoader, data: Any, path: Any, **more: Any) -> Any:
    """Compile, which nobody asks for where bytecode is good."""
    with Path(os.environ["COMPILED"]).open("a", encoding="utf-8") as log:
        log.write(f"{os.fspath(path)}\n")
    return really(self, data, path, **more)


external.SourceLoader.source_to_code = source_to_code  # type: ignore[method-assign] # a hook

"""`.tools/sam/bin/python -m local.sam_serving local start-lambda …`: SAM's command, a doorkeeper before what it serves.

SAM answers whoever reaches its ports, pages of any site among them, and has no setting for it. It serves with Flask,
which takes middleware. This runs under SAM's own Python, which has none of our packages.
"""

import logging
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DOORKEEPER = ROOT / "local" / "fal" / "doorkeeper.py"


def keep_doors() -> None:
    """Have every Flask application of this process served behind a doorkeeper."""
    from flask import Flask  # noqa: PLC0415 - SAM's, which is found once our own folders are off the path

    # By its file: the package around it needs what SAM's Python does not have.
    spec = spec_from_file_location("doorkeeper", DOORKEEPER)
    assert spec  # noqa: S101 - it is a Python file
    assert spec.loader  # noqa: S101 - the same
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    run = Flask.run

    def run_behind_doorkeeper(self: Flask, *arguments: Any, **options: Any) -> None:
        # It would note each call with its query, in which a webhook's MAC stands.
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self.wsgi_app = module.Doorkeeper(self.wsgi_app, is_linked=True, has_pages=True)  # type: ignore[method-assign] # Flask's own way
        run(self, *arguments, **options)

    Flask.run = run_behind_doorkeeper  # type: ignore[method-assign] # SAM makes its applications itself


def main() -> None:
    """Run SAM with the words of the command line."""
    # `python -m` puts this folder first, whose names are not meant for SAM.
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != ROOT]
    from samcli.cli.main import cli  # noqa: PLC0415 - the same

    keep_doors()
    cli(prog_name="sam")


if __name__ == "__main__":
    main()

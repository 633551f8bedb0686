"""The AWS stand-in: moto's server, in a process of its own (`python -m local.aws_server`)."""

import argparse
import logging
import os
import sys
import threading
from collections.abc import Collection

from moto.moto_server import werkzeug_app
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from local import s3_events
from local.fal.doorkeeper import Doorkeeper
from local.settings import HOST


def serve(addresses: list[str], port: int, names: Collection[str] = ()) -> None:
    """Answer for AWS on a port of this machine, under each of these addresses, until the process ends.

    `names`: what the port is called besides. moto obeys whoever asks, so it is shielded from pages of other sites.
    """
    s3_events.install()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    # moto's own word for: no flask-cors, which invites every page to read along.
    werkzeug_app.DISABLE_GLOBAL_CORS = True  # type: ignore[attr-defined] # moto gets it from its settings
    moto = DomainDispatcherApplication(create_backend_app)
    application = Doorkeeper(moto, lambda: {*addresses, *names})
    servers = [
        make_server(address, port, application, threaded=True, request_handler=MotoRequestHandler)
        for address in addresses
    ]
    for server in servers[1:]:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    servers[0].serve_forever()


def _exit_with_parent() -> None:
    # The other end of the pipe closes with the process that holds it, however that ended.
    sys.stdin.buffer.read()
    os._exit(0)


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m local.aws_server", description="moto as AWS, on this machine only")
    parser.add_argument("--host", action="append", help=f"an address to listen on, {HOST} if none is given")
    parser.add_argument("--name", action="append", default=[], help="a name that leads here, besides localhost")
    parser.add_argument("--port", type=int, default=5000)
    parser.add_argument("--exit-with-parent", action="store_true", help="end when standard input ends")
    arguments = parser.parse_args()
    if arguments.exit_with_parent:
        threading.Thread(target=_exit_with_parent, daemon=True).start()
    serve(arguments.host or [HOST], arguments.port, arguments.name)


if __name__ == "__main__":
    main()

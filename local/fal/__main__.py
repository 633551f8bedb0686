"""`python -m local.fal`: the emulator on a port until it is told to stop."""

import argparse
import signal
import sys
import tempfile
import threading
from functools import partial
from pathlib import Path

from local.fal.emulator import Emulator
from local.fal.serving import Listener
from local.fal.settings import EmulatorSettings

THREADS = 4
# fal takes the next submit, and its reply is lost.
EXAMPLE = '{"submit": {"answer": "closed", "accepted": true}}'


def parse_options(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    defaults = EmulatorSettings()
    parser = argparse.ArgumentParser(
        prog="python -m local.fal",
        description="A stand-in for fal's queue. Everything else can be set at /emulator/settings while it runs.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--host", action="append", help="an address to listen on, by default only 127.0.0.1")
    parser.add_argument("--port", type=int, default=8787, help="plain http; 0 lets the system choose")
    parser.add_argument("--tls-port", type=int, help="https too, which fal's own client needs")
    parser.add_argument("--public-url", help="where output files are found; by default the plain port")
    parser.add_argument("--seed", type=int, default=defaults.seed, help="of all that looks random")
    parser.add_argument("--concurrency", type=int, default=defaults.concurrency, help="requests that run at once")
    parser.add_argument("--queue-seconds", type=float, default=defaults.queue_seconds, help="least wait in the queue")
    parser.add_argument("--run-seconds", type=float, default=defaults.run_seconds, help="of one attempt")
    parser.add_argument("--megapixels", type=float, default=defaults.megapixels, help="area of a picture")
    parser.add_argument("--auth-scheme", choices=["Key", "Bearer"], default="Key", help="Bearer plays a gateway")
    parser.add_argument("--key", action="append", help="an accepted id:secret; without it any key will do")
    parser.add_argument(
        "--allow-private-webhooks", action="store_true", help="deliver to loopback and private addresses as well"
    )
    parser.add_argument("--refuse-private-inputs", action="store_true", help="fetch no image from such an address")
    parser.add_argument("--log-calls", action="store_true", help="a line for each call")
    parser.add_argument("--exit-with-parent", action="store_true", help="stop when standard input ends")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> None:
    """Serve until a signal, or until the parent is gone."""
    options = parse_options(arguments)
    settings = EmulatorSettings(
        seed=options.seed,
        concurrency=options.concurrency,
        queue_seconds=options.queue_seconds,
        run_seconds=options.run_seconds,
        megapixels=options.megapixels,
        auth_schemes=(options.auth_scheme,),
        keys=tuple(options.key) if options.key else None,
        allow_private_webhooks=options.allow_private_webhooks,
        allow_private_inputs=not options.refuse_private_inputs,
    )
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    emulator = Emulator(settings, threads=THREADS)
    with tempfile.TemporaryDirectory(prefix="fal-") as directory:
        hosts = options.host or ["127.0.0.1"]
        listen = partial(Listener, emulator, logs_calls=options.log_calls)
        plain = listen(hosts[0], options.port)
        listeners = [plain, *(listen(host, plain.port) for host in hosts[1:])]
        emulator.change_settings({"public_url": (options.public_url or f"http://{plain.authority}").rstrip("/")})
        emulator.keep_settings()
        print(f"fal emulator on http://{plain.authority}; for Darkroom's functions:")
        print(f"FAL_QUEUE_URL=http://{plain.authority}")
        print(f"FAL_JWKS_URL=http://{plain.authority}/.well-known/jwks.json")
        print(f"FAL_OUTPUT_HOSTS={emulator.settings.public_url}")
        if options.tls_port is not None:
            from local.fal.certificate import make_certificate  # noqa: PLC0415 - only this port needs cryptography

            context, trusted = make_certificate(Path(directory), hosts[0])
            secure = listen(hosts[0], options.tls_port, tls=context)
            listeners.append(secure)
            print(f"FAL_QUEUE_RUN_HOST={secure.authority}")
            print(f"SSL_CERT_FILE={trusted}")
        print(f"faults, as docs/emulator.md lists them: curl http://{plain.authority}/emulator/scripts -d '{EXAMPLE}'")
        sys.stdout.flush()
        emulator.start()
        for listener in listeners:
            listener.start()
        if options.exit_with_parent:
            threading.Thread(target=_wait_for_parent, args=[stopped], daemon=True).start()
        stopped.wait()
        for listener in listeners:
            listener.stop()
        emulator.stop()


def _wait_for_parent(stopped: threading.Event) -> None:
    sys.stdin.read()
    stopped.set()


if __name__ == "__main__":
    main(sys.argv[1:])

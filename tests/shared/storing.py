"""A process of its own that stores outputs, and says how much more memory it had at its peak than before.

`python storing.py <file that clients trust> <url>...`: the first URL is for warming up.
"""

import json
import ssl
import sys
import time
from pathlib import Path

import httpx

from shared.app import aws_client
from shared.downloads import Downloads
from shared.errors import OutputRefusedError, OutputUnfitError
from shared.images import Images
from shared.jobs import Output


def memory(field: str) -> int:
    """A figure of this process in bytes (proc(5): VmRSS is held now, VmHWM was held at the peak)."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(f"{field}:"))


def main() -> None:
    """Store each URL's output, and print one JSON object for each."""
    trusted, *urls = sys.argv[1:]
    images = Images(aws_client("s3"), "outputs")
    with httpx.Client(trust_env=False, verify=ssl.create_default_context(cafile=trusted)) as http:
        downloads = Downloads(http, tuple(url.removesuffix("/a.jpg") for url in urls))
        for index, url in enumerate(urls):
            Path("/proc/self/clear_refs").write_text("5")  # The peak begins anew.
            before = memory("VmRSS")
            try:
                with downloads.fetch(url, time.monotonic() + 60) as download:
                    output = Output(
                        index=index,
                        key=f"{index}.jpg",
                        content_type=download.content_type,
                        bytes=download.size,
                        sha256=download.sha256,
                    )
                    images.store(output, download.file, "job")
                    told = download.sha256
            except (OutputRefusedError, OutputUnfitError) as error:
                told = str(error)
            print(json.dumps({"told": told, "grown": memory("VmHWM") - before}))  # noqa: T201 - for the test


if __name__ == "__main__":
    main()

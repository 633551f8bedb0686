"""The emulator's CDN: bytes under public addresses, each with an end."""

import threading
from collections import Counter
from dataclasses import dataclass

from local.fal.schedule import Clock
from local.fal.switches import FileFault


@dataclass(frozen=True)
class StoredFile:
    """One public file."""

    content: bytes
    content_type: str
    expires_at: float
    fault: FileFault | None = None


class FileStore:
    """Files by their path below `/files/`; an expired one is gone for good."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._files: dict[str, StoredFile] = {}
        self._fetches: Counter[str] = Counter()
        self._lock = threading.Lock()

    def put(
        self, path: str, content: bytes, content_type: str, seconds: float | None, fault: FileFault | None = None
    ) -> None:
        """Keep a file for so many seconds, or for ever, and spoil its fetches if there is a fault."""
        expires_at = float("inf") if seconds is None else self._clock.now() + seconds
        with self._lock:
            self._files[path] = StoredFile(content, content_type, expires_at, fault)

    def get(self, path: str) -> StoredFile | None:
        """Give the file, or None when there is none or it has expired."""
        with self._lock:
            found = self._files.get(path)
            if found is not None and found.expires_at <= self._clock.now():
                del self._files[path]
                return None
            return found

    def count_fetch(self, path: str) -> int:
        """Count one more fetch of a file that has a fault, and say how many those are."""
        with self._lock:
            self._fetches[path] += 1
            return self._fetches[path]

    def clear(self) -> None:
        """Forget all files."""
        with self._lock:
            self._fetches.clear()
            self._files.clear()

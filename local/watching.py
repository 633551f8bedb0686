"""Watching: what functions are made of, and whether it has changed since they were started."""

import shutil
from pathlib import Path

from local.artifact import CODE, PRESETS
from local.settings import ROOT

Snapshot = dict[Path, tuple[int, int]]


class CodeWatch:
    """Says once of each change that it is there and complete: an editor or git may write for a moment."""

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root
        self._running = self._seen = self._take()

    def look(self) -> list[str]:
        """The files, as paths below the project, that differ from those that run, once they no longer change."""
        before, self._seen = self._seen, self._take()
        if self._seen == self._running or self._seen != before:
            return []
        changed = {path for path, _ in self._seen.items() ^ self._running.items()}
        self._running = self._seen
        return sorted(str(path.relative_to(self._root)) for path in changed)

    def copy(self, folder: Path) -> None:
        """Copy the files to where functions run them, whatever becomes of them here; compiled ones come along."""
        for name in CODE:
            shutil.copytree(self._root / name, folder / name)
        shutil.copy2(self._root / PRESETS, folder)

    def _take(self) -> Snapshot:
        files = [file for folder in CODE for file in (self._root / folder).rglob("*.py")]
        found: Snapshot = {}
        for file in [*files, self._root / PRESETS]:
            try:
                stat = file.stat()
            except FileNotFoundError:
                continue  # removed since it was listed
            found[file] = (stat.st_mtime_ns, stat.st_size)
        return found

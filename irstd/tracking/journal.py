"""The journal of one run: JSON lines on disk, written first; the experiment store gets a copy.

`artifacts/<profile>/<network>/tracking/` holds, for each key (the fingerprint of a training):

- `<key>.jsonl`: what happened, one event per line, in order;
- `<key>.sent.json`: for each store, the run's id there and how many bytes of the journal it has;
- `<key>.lock`: empty, locked by the process that is sending;
- `files/<sha256>/<name>`: the artifacts as they were when they were logged.
"""

import fcntl
import hashlib
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from irstd.errors import TrackingError
from irstd.files import write_json

JOURNAL_SUFFIX = ".jsonl"
KEY_PATTERN = re.compile(r"[A-Za-z0-9._-]{1,128}")
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """One event.

    Attributes:
        kind: start, params, metrics, tags, artifact or end.
        content: the event's own values, with `time` in milliseconds since 1970.
        end: the journal's length in bytes up to and with this event.
    """

    kind: str
    content: dict[str, Any]
    end: int


@dataclass(frozen=True)
class Delivery:
    """What one store has of a journal: the run there, and the bytes it was sent."""

    run_id: str
    offset: int


class Journal:
    """The journal of one network and key.

    Args:
        folder: `artifacts/<profile>/<network>/tracking`; made with the first event.
        key: what the run depends on, as a file name.

    Raises:
        TrackingError: the key is no file name.
    """

    def __init__(self, folder: Path, key: str) -> None:
        """Read nothing yet."""
        if not KEY_PATTERN.fullmatch(key):
            raise TrackingError(
                "a run's key is expected as 1 to 128 letters, digits, '.', '_' or '-', "
                f"got {key!r}; use a fingerprint in hexadecimal"
            )
        self.folder = folder
        self.key = key
        self.path = folder / f"{key}{JOURNAL_SUFFIX}"

    @property
    def network(self) -> str:
        """The network, as the folder says."""
        return self.folder.parent.name

    @property
    def profile(self) -> str:
        """The profile, as the folder says."""
        return self.folder.parent.parent.name

    def append(self, kind: str, **content: Any) -> None:
        """Add one event in a single write; a line torn by a killed process is closed off first."""
        self.folder.mkdir(parents=True, exist_ok=True)
        event = {"kind": kind, "time": int(time.time() * 1000), **content}
        line = (json.dumps(event) + "\n").encode()
        with self.path.open("a+b", buffering=0) as file:
            if not _ends_with_newline(file):
                line = b"\n" + line
            file.write(line)

    def read(self, offset: int = 0) -> list[Entry]:
        """Events after `offset` bytes.

        A killed process may tear its last line, and the next one closes it off. A torn line is left
        out with a warning; a last line without an end is left for later, it may be in the making.
        """
        if not self.path.exists():
            return []
        entries = []
        with self.path.open("rb") as file:
            file.seek(offset)
            for line in file:
                offset += len(line)
                if line.endswith(b"\n") and line.strip():
                    entries += self._parse(line, offset)
        return entries

    def keep(self, file: Path) -> str:
        """Copy a file into the journal; it may be overwritten before a store can be reached.

        Returns:
            SHA-256 of its content.
        """
        digest = file_sha256(file)
        target = self.kept(digest, file.name)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            # The number keeps stages apart that log the same file at the same time.
            temporary = target.with_name(f"{target.name}.{os.getpid()}.tmp")
            shutil.copyfile(file, temporary)
            os.replace(temporary, target)
        return digest

    def kept(self, digest: str, name: str) -> Path:
        """Where `keep` put a file."""
        return self.folder / "files" / digest / name

    def delivery(self, store: str) -> Delivery | None:
        """What a store has of this journal, or None if it has nothing."""
        known = self._deliveries().get(store)
        return None if known is None else Delivery(str(known["run_id"]), int(known["offset"]))

    def mark(self, store: str, delivery: Delivery) -> None:
        """Record what a store has now; whole or not at all."""
        known = self._deliveries()
        entry = {"run_id": delivery.run_id, "offset": delivery.offset}
        if known.get(store) != entry:
            write_json(self._state, known | {store: entry})

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Be the only process that sends; others wait here, a killed process lets go."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{self.key}.lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextmanager
    def held(self) -> Iterator[None]:
        """Show other processes that a stage is writing; a killed process lets go."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            yield

    def abandoned(self) -> bool:
        """Whether a stage started, did not end, and no process holds the journal any more."""
        states = [entry.kind for entry in self.read() if entry.kind in ("start", "end")]
        if not states or states[-1] == "end":
            return False
        with self.path.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    @property
    def _state(self) -> Path:
        return self.folder / f"{self.key}.sent.json"

    def _deliveries(self) -> dict[str, Any]:
        if not self._state.exists():
            return {}
        known: dict[str, Any] = json.loads(self._state.read_text(encoding="utf-8"))
        return known

    def _parse(self, line: bytes, end: int) -> list[Entry]:
        try:
            content = json.loads(line)
            return [Entry(content.pop("kind"), content, end)]
        except (ValueError, KeyError, AttributeError):
            logger.warning(
                "%s: the line that ends at byte %d is torn (its writer was killed) and is left out",
                self.path,
                end,
            )
            return []


def journals(root: Path) -> list[Journal]:
    """All journals of a project, of every profile and network, oldest first."""
    paths = root.glob(f"artifacts/*/*/tracking/*{JOURNAL_SUFFIX}")
    return [
        Journal(path.parent, path.name.removesuffix(JOURNAL_SUFFIX))
        for path in sorted(paths, key=lambda path: (path.stat().st_mtime, path))
    ]


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _ends_with_newline(file: BinaryIO) -> bool:
    if file.seek(0, os.SEEK_END) == 0:
        return True
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"

"""One run per profile, network and key; its stages (train, evaluate, export, register) share it.

    with track_run(root, params, "ispanet", stage="train", key=fingerprint) as run:
        run.metrics({"val_iou": 0.6}, step=3)
        run.artifact(path, folder="figures")

Everything goes to the journal first. A store that is away costs one bounded wait when a stage
starts and one when it ends, a warning, and nothing else: `irstd track` sends the journal later.
"""

import logging
import math
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from irstd.config import Params
from irstd.errors import TrackingError
from irstd.layout import Layout
from irstd.tracking.delivery import deliver
from irstd.tracking.journal import JOURNAL_SUFFIX, Journal
from irstd.tracking.provenance import environment, run_files, run_params, run_tags
from irstd.tracking.store import Store

NAME = re.compile(r"[\w./: -]{1,250}")
TEXT_LIMIT = 5000
logger = logging.getLogger(__name__)


class RunJournal:
    """What a stage logs; made by `track_run`.

    Args:
        root: the project's folder.
        params: its parameters.
        network: model id.
        key: what the run depends on, as a file name.
    """

    def __init__(self, root: Path, params: Params, network: str, key: str) -> None:
        """Read which metrics the journal has already."""
        folder = Layout(root, params.profile).artifacts(network) / "tracking"
        self.journal = Journal(folder, key)
        self._root = root
        self._settings = params.register_
        self._store: Store | None = None
        self._away = False
        self._abandoned: list[Journal] = []
        self._logged = {
            (name, entry.content["step"]): value
            for entry in self.journal.read()
            if entry.kind == "metrics"
            for name, value in entry.content["values"].items()
        }

    def params(self, values: Mapping[str, Any]) -> None:
        """Log parameters; the first value stays, a later one becomes the tag `changed.<name>`."""
        self.journal.append("params", values=_texts(values))

    def tags(self, values: Mapping[str, Any]) -> None:
        """Log tags; a later value replaces an earlier one."""
        self.journal.append("tags", values=_texts(values))

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Log figures.

        Args:
            values: names and figures; NaN stands for an undefined one.
            step: the epoch; None for a figure of the run as a whole. A figure that the journal has
                already for this step, as after a resumed training, is left out.

        Raises:
            TrackingError: a name the store would refuse.
        """
        at = 0 if step is None else step
        figures = {_checked(name): float(value) for name, value in values.items()}
        new = {
            name: value
            for name, value in figures.items()
            if not _same(self._logged.get((name, at)), value)
        }
        if new:
            self.journal.append("metrics", values=new, step=at)
            self._logged |= {(name, at): value for name, value in new.items()}

    def artifact(self, path: Path, folder: str = "") -> None:
        """Log a file, or every file in a folder, as it is now.

        Args:
            path: the file or folder.
            folder: where the run shows it; the folders inside `path` are kept below it.

        Raises:
            TrackingError: there is nothing at `path`.
        """
        if path.is_file():
            digest = self.journal.keep(path)
            self.journal.append("artifact", name=path.name, folder=folder, sha256=digest)
        elif path.is_dir():
            for file in sorted(item for item in path.rglob("*") if item.is_file()):
                inner = file.parent.relative_to(path).as_posix()
                parts = [part for part in (folder, inner) if part not in ("", ".")]
                self.artifact(file, "/".join(parts))
        else:
            raise TrackingError(
                f"{path}: no such file or folder to log; write it before logging it"
            )

    def end_abandoned(self) -> None:
        """End the runs of other keys whose process was killed; `deliver` tells the store."""
        for path in sorted(self.journal.folder.glob(f"*{JOURNAL_SUFFIX}")):
            other = Journal(path.parent, path.name.removesuffix(JOURNAL_SUFFIX))
            if other.key != self.journal.key and other.abandoned():
                other.append("end", stage="", status="KILLED")
                self._abandoned.append(other)

    def send(self, again: bool = False) -> bool:
        """Send what is pending, where the store answers.

        Args:
            again: try even if the store did not answer before in this stage.

        Returns:
            Whether the store has everything now.
        """
        if self._away and not again:
            return False
        try:
            self.deliver()
        except TrackingError as error:
            if not self._away:
                logger.warning(
                    "%s. Nothing is lost: the journal %s keeps it; `irstd track` sends it when the "
                    "store is back",
                    error,
                    self.journal.path,
                )
            self._away = True
            return False
        self._away = False
        return True

    def deliver(self) -> str:
        """Send what is pending.

        Returns:
            The id of the run in the store.

        Raises:
            TrackingError: the store cannot be reached; the journal keeps everything.
        """
        if self._store is None:
            self._store = Store(self._root, self._settings)
        while self._abandoned:
            deliver(self._abandoned[-1], self._store)
            self._abandoned.pop()
        deliver(self.journal, self._store)
        sent = self.journal.delivery(self._store.label)
        if sent is None:
            raise TrackingError(
                f"{self.journal.path}: the record of what was sent was deleted; try again"
            )
        return sent.run_id


@contextmanager
def track_run(
    root: Path, params: Params, network: str, stage: str, key: str
) -> Iterator[RunJournal]:
    """Log a stage into the run of a network.

    The run ends as FINISHED, as FAILED after an exception, and as KILLED after an interruption; a
    run of another key whose process was killed is ended as KILLED here.

    Args:
        root: the project's folder.
        params: its parameters.
        network: model id.
        stage: train, evaluate, export, register or tune.
        key: fingerprint of the training; another key is another run, the same key continues one.

    Raises:
        TrackingError: the key is no file name.
    """
    run = RunJournal(root, params, network, key)
    with run.journal.held():
        run.end_abandoned()
        _start(run, root, params, network, stage)
        status = "FINISHED"
        try:
            yield run
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        except BaseException as error:
            status = "FAILED"
            run.tags({"error": f"{stage}: {type(error).__name__}: {error}"})
            raise
        finally:
            run.journal.append("end", stage=stage, status=status)
            run.send(again=True)


def _start(run: RunJournal, root: Path, params: Params, network: str, stage: str) -> None:
    run.journal.append("start", stage=stage)
    run.tags(run_tags(root, params, stage))
    if stage == "train":
        run.params(run_params(params, network))
    folder = f"provenance/{stage}"
    for path in run_files(root, params):
        run.artifact(path, folder)
    with tempfile.TemporaryDirectory() as scratch:
        listing = Path(scratch) / "environment.txt"
        listing.write_text(environment(), encoding="utf-8")
        run.artifact(listing, folder)
    run.send()


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    texts = {_checked(name): str(value) for name, value in values.items()}
    return {
        name: text if len(text) <= TEXT_LIMIT else text[:TEXT_LIMIT] + " [cut]"
        for name, text in texts.items()
    }


def _checked(name: str) -> str:
    if not NAME.fullmatch(name):
        raise TrackingError(
            "a parameter, figure or tag is expected to have a name of 1 to 250 letters, digits and "
            f"'_./: -', got {name!r}"
        )
    return name


def _same(known: float | None, value: float) -> bool:
    return known is not None and (known == value or (math.isnan(known) and math.isnan(value)))

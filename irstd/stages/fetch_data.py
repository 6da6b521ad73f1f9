"""`irstd data fetch`: get a data set that is published in a git repository."""

import logging
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from irstd.data.archives import unpack
from irstd.data.sources import find_source
from irstd.data.tree import scan
from irstd.errors import DataError
from irstd.stages.add_data import add_data

log = logging.getLogger(__name__)


def fetch_data(root: Path, name: str, repository: str | None = None) -> Path:
    """Clone a data set's repository, unpack its archives and add it to the project.

    The repository holds folders, zip archives of them, or both; links in it are not followed. The
    clone is removed at the end.

    Args:
        root: the project's folder.
        name: a key of `irstd.data.sources.SOURCES`.
        repository: another place to clone from, such as a copy on this machine; None for the
            published one.

    Returns:
        The folder in the project.

    Raises:
        DataError: the data set is not published this way, git fails, an archive is not safe to
            unpack, or as `add_data`.
    """
    source = find_source(name)
    address = repository or source.repository
    if address is None:
        raise DataError(
            f"{name} is not published in a git repository; get it from {source.home}, then run "
            f"`irstd data add {name} PATH`"
        )
    with tempfile.TemporaryDirectory(prefix="irstd-fetch-") as scratch:
        clone = Path(scratch) / name
        _clone(address, clone)
        tree = scan(clone)
        for file in tree.files:
            path = tree.root / file
            if path.suffix == ".zip":
                log.info("unpack %s", file)
                unpack(path, path.parent)
                path.unlink()
        return add_data(root, name, clone)


def _clone(address: str, folder: Path) -> None:
    if shutil.which("git") is None:
        raise DataError("expected git to clone the repository; install it, or clone it by hand")
    log.info("clone %s", address)
    # Links become plain files: an archive beside a link could be unpacked through it.
    done = subprocess.run(
        [
            "git",
            "-c",
            "core.symlinks=false",
            "clone",
            "--depth",
            "1",
            "--quiet",
            "--",
            address,
            str(folder),
        ],
        env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise DataError(
            f"{address}: could not be cloned:\n{done.stderr.strip()}\ncheck the connection, or "
            "clone it by hand and run `irstd data add`"
        )

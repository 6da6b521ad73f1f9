"""Where a command may write that is no stage of the pipeline."""

from collections.abc import Sequence
from pathlib import Path

from irstd.errors import DataError
from irstd.files import restore_folder

STAGE_FOLDERS = ("artifacts", "data", "reports")


def check_file(root: Path, output: Path, overwrite: bool) -> None:
    """Refuse a file that must not be written.

    Args:
        root: the project's folder.
        output: the file to write.
        overwrite: whether an earlier file may be replaced.

    Raises:
        DataError: it belongs to a stage, is a folder, or exists and is not to be replaced.
    """
    _check_place(root, output)
    if output.is_dir():
        raise DataError(f"{output}: expected the name of a file to write, got a folder; add a name")
    if output.exists() and not overwrite:
        raise DataError(f"{output}: exists; choose another name, or repeat with --overwrite")


def check_folder(
    root: Path,
    output: Path,
    overwrite: bool,
    *,
    names: frozenset[str],
    always: frozenset[str],
    inputs: Sequence[Path] = (),
) -> None:
    """Refuse a folder that must not be written or replaced.

    What a killed call left of the folder is settled first, so that earlier results are seen.

    Args:
        root: the project's folder.
        output: the folder to write.
        overwrite: whether earlier results may be replaced.
        names: that results have; a folder with others is never replaced.
        always: those of them that no results lack; a folder without them is never replaced.
        inputs: what the command reads; an output that is or contains one would delete it.

    Raises:
        DataError: it belongs to a stage, is a file, holds an input, or what is not to be replaced.
    """
    _check_place(root, output)
    restore_folder(output.resolve())
    for path in inputs:
        if path.exists() and path.resolve().is_relative_to(output.resolve()):
            raise DataError(f"{output}: is or contains the input {path}; choose another folder")
    if output.exists() and not output.is_dir():
        raise DataError(f"{output}: expected a folder for the results, got a file; choose another")
    found = {path.name for path in output.iterdir()} if output.exists() else set()
    if found and not overwrite:
        raise DataError(
            f"{output}: the folder is not empty; choose another, or repeat with --overwrite to "
            "replace earlier results"
        )
    if found and not always <= found <= names:
        strange = sorted(found - names)[:5] or [f"no {name}" for name in sorted(always - found)]
        raise DataError(
            f"{output}: only a folder with earlier results and nothing else is replaced, but this "
            f"one has {', '.join(strange)}; choose another"
        )


def _check_place(root: Path, output: Path) -> None:
    resolved = output.resolve()
    for name in STAGE_FOLDERS:
        folder = (root / name).resolve()
        if resolved.is_relative_to(folder) or folder.is_relative_to(resolved):
            raise DataError(
                f"{output}: {name}/ belongs to the stages of the pipeline; write somewhere else"
            )

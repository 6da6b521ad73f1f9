"""Where a command may write that is no stage of the pipeline."""

from pathlib import Path

from irstd.errors import DataError

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


def check_folder(root: Path, output: Path, overwrite: bool, ours: frozenset[str]) -> None:
    """Refuse a folder that must not be written or replaced.

    Args:
        root: the project's folder.
        output: the folder to write.
        overwrite: whether earlier results may be replaced.
        ours: names that results have; a folder with others is never replaced.

    Raises:
        DataError: it belongs to a stage, is a file, or holds what is not to be replaced.
    """
    _check_place(root, output)
    if output.exists() and not output.is_dir():
        raise DataError(f"{output}: expected a folder for the results, got a file; choose another")
    names = {path.name for path in output.iterdir()} if output.exists() else set()
    if names and not overwrite:
        raise DataError(
            f"{output}: the folder is not empty; choose another, or repeat with --overwrite to "
            "replace earlier results"
        )
    if names - ours:
        raise DataError(
            f"{output}: only a folder with earlier results and nothing else is replaced, but this "
            f"one has {', '.join(sorted(names - ours)[:5])}; choose another"
        )


def _check_place(root: Path, output: Path) -> None:
    resolved = output.resolve()
    for name in STAGE_FOLDERS:
        folder = (root / name).resolve()
        if resolved.is_relative_to(folder) or folder.is_relative_to(resolved):
            raise DataError(
                f"{output}: {name}/ belongs to the stages of the pipeline; write somewhere else"
            )

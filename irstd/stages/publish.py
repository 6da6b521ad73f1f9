"""A short report for the repository, and the README's table over all such reports.

A report `<name>.md` has its pictures and its figures (`results.json`) in the folder `<name>/`
beside it.
"""

from dataclasses import asdict
from pathlib import Path

from irstd.config import Params
from irstd.errors import ConfigError, DataError
from irstd.evaluation.figures import draw, png_bytes
from irstd.evaluation.pictures import shrink_png
from irstd.evaluation.summary import (
    Result,
    breakdown_table,
    conditions_table,
    figures_table,
    interval_note,
)
from irstd.files import read_json, replaced_folder, write_json, write_text
from irstd.stages.results import overlay_files, read_curves, read_results

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
PICTURE_LIMIT = 200_000
"""Largest picture in bytes: files in git stay small."""

PUBLISH = "irstd report --publish reports/published/<profile>.md"


def publish(root: Path, params: Params, destination: Path, overlays: int = 4) -> None:
    """Write the results of the active profile as Markdown with a few pictures.

    Args:
        root: the project's folder.
        params: its parameters.
        destination: the Markdown file; the folder of its name beside it is replaced.
        overlays: at most this many overlays, shared among the networks.

    Raises:
        ConfigError: the destination is no Markdown file.
        DataError: a stage has not run yet.
    """
    if destination.suffix != ".md":
        raise ConfigError(f"{destination}: expected a file name that ends in .md")
    results = read_results(root, params)
    pictures = {"curves.png": png_bytes(draw(read_curves(root, params)))}
    for file in _first_overlays(root, params, overlays):
        pictures[f"{file.parents[1].name}_{file.name}"] = file.read_bytes()
    with replaced_folder(destination.with_suffix("")) as folder:
        for name, png in pictures.items():
            (folder / name).write_bytes(shrink_png(png, PICTURE_LIMIT))
        write_json(folder / "results.json", {"results": [asdict(result) for result in results]})
    write_text(destination, _markdown(params, results, [*pictures], destination.stem))


def published_table(folder: Path) -> str:
    """Markdown tables over the published reports of a folder.

    Raises:
        DataError: there are none.
    """
    files = sorted(folder.glob("*/results.json"))
    if not files:
        raise DataError(f"{folder}: no published results; run `{PUBLISH}` first")
    content = [one for file in files for one in read_json(file, PUBLISH)["results"]]
    results = [Result(**one) for one in content]
    parts = (figures_table(results), interval_note(results), conditions_table(results))
    return "\n\n".join(part if isinstance(part, str) else part.markdown() for part in parts)


def update_readme(readme: Path, table: str) -> None:
    """Replace what stands between the markers of a file.

    Args:
        readme: the file.
        table: Markdown.

    Raises:
        ConfigError: the file is missing, or has not exactly one pair of markers in order.
    """
    if not readme.is_file():
        raise ConfigError(f"{readme}: not found; expected a file with {BEGIN} and {END}")
    text = readme.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    inside, end, after = rest.partition(END)
    if not (begin and end) or any(mark in before + inside + after for mark in (BEGIN, END)):
        raise ConfigError(
            f"{readme}: expected one line {BEGIN} and, below it, one line {END}; add them where "
            "the table belongs"
        )
    write_text(readme, f"{before}{BEGIN}\n{table.strip()}\n{END}{after}")


def _first_overlays(root: Path, params: Params, limit: int) -> list[Path]:
    """The worst overlays of each network in turn."""
    ranked = [
        (rank, position, file)
        for position, network in enumerate(params.train.networks)
        for rank, file in enumerate(overlay_files(root, params, network))
    ]
    return [file for _, _, file in sorted(ranked)[:limit]]


def _markdown(params: Params, results: list[Result], pictures: list[str], folder: str) -> str:
    parts = [
        f"# Results of profile {params.profile}",
        f"Written by `irstd report --publish`. {results[0].attribution}",
        figures_table(results).markdown(),
        interval_note(results),
        conditions_table(results).markdown(),
        breakdown_table(results).markdown(),
        *(f"![{Path(name).stem}]({folder}/{name})" for name in pictures),
    ]
    return "\n\n".join(parts) + "\n"

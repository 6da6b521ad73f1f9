"""A short report for the repository, and the README's table and picture of all such reports.

A report `<name>.md` has its pictures and its figures (`results.json`) in the folder `<name>/`
beside it.
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from irstd.config import Params
from irstd.errors import ConfigError, DataError
from irstd.evaluation.figures import draw, png_bytes
from irstd.evaluation.pictures import shrink_png
from irstd.evaluation.summary import (
    Result,
    all_parts,
    conditions_table,
    figures_table,
    interval_note,
    markdown,
)
from irstd.files import read_json, replaced_folder, write_json, write_text
from irstd.stages.results import overlay_files, read_curves, read_results

PICTURE_LIMIT = 200_000
"""Largest picture in bytes: files in git stay small."""

OVERLAYS, OVERLAYS_OF_SOURCE = 4, 6
"""Most overlays in one report, and of one data set in all reports: its images are not ours."""

PUBLISH = "irstd report --publish reports/published/<profile>.md"


log = logging.getLogger(__name__)


def publish(root: Path, params: Params, destination: Path, overlays: int = OVERLAYS) -> None:
    """Write the results of the active profile as Markdown with a few pictures.

    Args:
        root: the project's folder.
        params: its parameters.
        destination: the Markdown file; the folder of its name beside it is replaced.
        overlays: at most this many overlays, shared among the networks; fewer where the reports
            beside this one leave fewer of `OVERLAYS_OF_SOURCE`.

    Raises:
        ConfigError: the destination is no Markdown file.
        DataError: a stage has not run yet.
    """
    if destination.suffix != ".md":
        raise ConfigError(f"{destination}: expected a file name that ends in .md")
    results = read_results(root, params)
    overlays = min(overlays, _overlays_left(destination, params.data.source))
    curves = {"curves.png": png_bytes(draw(read_curves(root, params)))}
    shown = {
        f"{file.parents[1].name}_{file.name}": file.read_bytes()
        for file in _first_overlays(root, params, overlays)
    }
    content = {
        "published": datetime.now(UTC).isoformat(),
        "overlays": [*shown],
        "results": [asdict(result) for result in results],
    }
    with replaced_folder(destination.with_suffix("")) as folder:
        for name, png in (curves | shown).items():
            (folder / name).write_bytes(shrink_png(png, PICTURE_LIMIT))
        write_json(folder / "results.json", content)
    write_text(destination, _markdown(params, results, [*curves, *shown], destination.stem))


def published_table(folder: Path) -> str:
    """Markdown tables over the published reports of a folder.

    Raises:
        DataError: there are none.
    """
    content = [one for report in _published(folder).values() for one in report["results"]]
    results = [Result(**one) for one in content]
    return markdown([figures_table(results), interval_note(results), conditions_table(results)])


def published_picture(folder: Path, readme: Path) -> str:
    """Markdown of the first overlay of the newest published report, with its origin.

    Args:
        folder: of the published reports.
        readme: the file that shows it; the address is relative to it.

    Raises:
        DataError: nothing is published, or the newest report has no overlay.
    """
    reports = _published(folder)
    file, newest = max(reports.items(), key=lambda one: str(one[1]["published"]))
    if not newest["overlays"]:
        raise DataError(
            f"{file}: expected an overlay in the newest published report, got none; raise "
            f"evaluate.overlays, or remove older reports of this data set, then run `{PUBLISH}`"
        )
    name = newest["overlays"][0]
    result = next(
        one for one in newest["results"] if name.startswith(f"{one['metrics']['network']}_")
    )
    metrics, commit = result["metrics"], str(result["run"]["commit"])[:12]
    caption = (
        f"Test image of {metrics['source']} ({metrics['split']}), network {metrics['network']}, "
        f"profile {metrics['profile']}; H: hit, M: missed, F: false alarm. "
        f"{result['attribution']} Commit {commit}."
    )
    address = Path(os.path.relpath(file.parent / name, readme.parent)).as_posix()
    return f"![{caption}]({address})\n\n*{caption}*"


def update_readme(readme: Path, blocks: Mapping[str, str]) -> None:
    """Replace what stands between the markers of a file; all blocks or none.

    Args:
        readme: the file.
        blocks: Markdown by the name in its markers, `<!-- NAME:begin -->`, `<!-- NAME:end -->`.

    Raises:
        ConfigError: the file is missing, or has not exactly one pair of each marker in order.
    """
    if not readme.is_file():
        expected = ", ".join(" and ".join(markers(name)) for name in blocks)
        raise ConfigError(f"{readme}: not found; expected a file with {expected}")
    text = readme.read_text(encoding="utf-8")
    for name, content in blocks.items():
        text = _with_block(text, readme, name, content)
    write_text(readme, text)


def markers(name: str) -> tuple[str, str]:
    """The lines around a block of the README."""
    return f"<!-- {name}:begin -->", f"<!-- {name}:end -->"


def _with_block(text: str, readme: Path, name: str, content: str) -> str:
    first, last = markers(name)
    before, begin, rest = text.partition(first)
    inside, end, after = rest.partition(last)
    if not (begin and end) or any(mark in before + inside + after for mark in (first, last)):
        raise ConfigError(
            f"{readme}: expected one line {first} and, below it, one line {last}; add them where "
            f"the {name} belong"
        )
    return f"{before}{first}\n{content.strip()}\n{last}{after}"


def _published(folder: Path) -> dict[Path, dict[str, Any]]:
    """The content of every `results.json` by file."""
    files = sorted(folder.glob("*/results.json"))
    if not files:
        raise DataError(f"{folder}: no published results; run `{PUBLISH}` first")
    reports = {file: read_json(file, PUBLISH) for file in files}
    for file, report in reports.items():
        missing = {"published", "overlays", "results"} - report.keys()
        if missing:
            raise DataError(f"{file}: lacks {sorted(missing)}; run `{PUBLISH}` again")
    return reports


def _overlays_left(destination: Path, source: str) -> int:
    """How many overlays of a data set the other reports of the folder leave."""
    own = destination.with_suffix("") / "results.json"
    used = 0
    if any(file != own for file in destination.parent.glob("*/results.json")):
        used = sum(
            len(report["overlays"])
            for file, report in _published(destination.parent).items()
            if file != own and report["results"][0]["metrics"]["source"] == source
        )
    left = max(0, OVERLAYS_OF_SOURCE - used)
    if left < OVERLAYS:
        log.warning(
            "%s: the reports beside it show %d overlays of %s, so it shows at most %d",
            *(destination, used, source, left),
        )
    return left


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
        *all_parts(results),
        *(f"![{Path(name).stem}]({folder}/{name})" for name in pictures),
    ]
    return markdown(parts) + "\n"

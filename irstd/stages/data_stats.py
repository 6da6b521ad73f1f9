"""Stage `data stats`: what a prepared data set holds, beside what a paper says of it."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from irstd.config import Params
from irstd.data.statistics import (
    FIGURES,
    ISPANET_TABLE_V,
    Published,
    scr_by_margin,
    summarise,
    target_table,
)
from irstd.data.statistics_figure import draw_statistics
from irstd.data.store import PreparedData
from irstd.errors import DataError
from irstd.evaluation.figures import save_png
from irstd.evaluation.summary import Table
from irstd.files import replaced, write_json, write_text
from irstd.layout import Layout

UNDEFINED = "undefined"


def data_stats(root: Path, params: Params) -> dict[str, Any]:
    """Write `reports/data/<profile>`.

    The folder holds `metrics.json`, `targets.csv` (one row per target), `histograms.png` drawn from
    it, and `summary.md` with the paper's figures where it has some.

    Args:
        root: the project's folder.
        params: its parameters.

    Returns:
        The content of `metrics.json`.

    Raises:
        DataError: nothing is prepared, or images of another source than the parameters name.
    """
    layout = Layout(root, params.profile)
    data = PreparedData(layout.processed)
    source = _source(data, params)
    folder = layout.report("data")
    targets = target_table(data)
    found = summarise(data.index, targets, params.build.classes)
    published = ISPANET_TABLE_V.get(source)
    if published is not None:
        bands = {str(margin): asdict(spread) for margin, spread in scr_by_margin(data).items()}
        found |= {"scr_by_margin_px": bands}
    metrics = {"profile": params.profile, "source": source, "data_checksum": data.checksum} | found
    write_json(folder / "metrics.json", metrics)
    with replaced(folder / "targets.csv") as temporary:
        targets.to_csv(temporary, index=False, lineterminator="\n")
    figure = draw_statistics(targets, data.index["n_targets"], found["classes"]["images"])
    save_png(figure, folder / "histograms.png")
    write_text(folder / "summary.md", summary(metrics, published))
    return metrics


def _source(data: PreparedData, params: Params) -> str:
    """The source of the prepared images, which is that of the parameters."""
    found, wanted = sorted(data.index["source"].unique()), params.data.source
    if found != [wanted]:
        raise DataError(
            f"{data.folder}: expected images of {wanted} (data.source), got {', '.join(found)}; "
            "run `irstd prepare`"
        )
    return wanted


def summary(metrics: dict[str, Any], published: Published | None) -> str:
    """The page in Markdown.

    Args:
        metrics: the content of `metrics.json`.
        published: what the paper says of the source; None if nothing.
    """
    parts = tuple(
        (name, str(part["images"]), str(part["targets"])) for name, part in metrics["parts"].items()
    )
    classes = metrics["classes"]
    balance = tuple((name, str(count)) for name, count in classes["images"].items())
    blocks = [
        f"# Statistics of {metrics['source']}, profile {metrics['profile']}",
        _figures_table(metrics, published).markdown(),
        *_notes(metrics, published),
        *_bands_table(metrics),
        Table(("part", "images", "targets"), parts).markdown(),
        Table(("class", "images"), balance).markdown(),
        "![histograms](histograms.png)",
    ]
    return "\n\n".join(blocks) + "\n"


def _figures_table(metrics: dict[str, Any], published: Published | None) -> Table:
    counts = ("images", "images_without_target", "sequences", "targets")
    rows = [(name.replace("_", " "), str(metrics[name]), "", "") for name in counts]
    for name, meaning in FIGURES.items():
        spread = metrics["figures"][name]
        rows.append((meaning, _range(spread), _number(spread["mean_over_images"]), ""))
    rows.append(("box of the smallest and largest target", _boxes(metrics["extremes"]), "", ""))
    head = ("figure", "found: range (mean)", "mean over images")
    if published is None:
        return Table(head, tuple(row[:3] for row in rows))
    stated = {
        "images": str(published.images),
        "targets": str(published.targets),
        rows[-1][0]: _boxes(published.extremes),
    }
    stated |= {FIGURES[name]: _range(asdict(one)) for name, one in published.figures.items()}
    told = tuple((*row[:3], stated.get(row[0], "not stated")) for row in rows)
    return Table((*head, "ISPANet, Table V"), told)


def _notes(metrics: dict[str, Any], published: Published | None) -> list[str]:
    """Why figures are missing, and why they differ from the paper's."""
    unmeasured = metrics["figures"]["area_px"]["undefined"]
    notes = []
    if unmeasured:
        notes.append(
            f"{unmeasured} targets are boxes or points: their area, box and SCR are not stated."
        )
    if published is not None:
        is_whole = metrics["images"] == published.images
        if not is_whole:
            notes.append(f"{metrics['images']} of the paper's {published.images} images are here.")
        notes += [f"- {note}" for note in published.notes]
        notes += [f"- {note}" for note in published.notes_on_all if is_whole]
    return ["\n".join(notes)] if notes else []


def _bands_table(metrics: dict[str, Any]) -> list[str]:
    bands = metrics.get("scr_by_margin_px", {})
    rows = tuple((f"{margin} px", _range(spread)) for margin, spread in bands.items())
    head = ("band around the box", "SCR: range (mean)")
    return [Table(head, rows).markdown()] if rows else []


def _range(spread: dict[str, Any]) -> str:
    mean = _number(spread["mean"])
    if math.isnan(spread["low"]):
        return UNDEFINED if math.isnan(spread["mean"]) else f"({mean})"
    return f"{_number(spread['low'])} - {_number(spread['high'])} ({mean})"


def _boxes(sizes: Any) -> str:
    if sizes is None:
        return UNDEFINED
    return ", ".join(f"{height} x {width}" for height, width in sizes)


def _number(value: float) -> str:
    return UNDEFINED if math.isnan(value) else f"{value:.4g}"

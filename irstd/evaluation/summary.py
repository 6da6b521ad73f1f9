"""Tables over evaluated networks: figures with intervals, and the conditions they hold under."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

PER_MILLION = 1e6
UNDEFINED = "undefined"

FIGURES = (
    ("iou", "IoU", 1.0),
    ("niou_target", "nIoU per target", 1.0),
    ("niou_image", "nIoU per image", 1.0),
    ("pd", "P_d", 1.0),
    ("fa_target", "F_a (components)", 1.0),
    ("fa_pixel", "F_a (pixels) x 1e-6", PER_MILLION),
    ("f1_target", "F1-T", 1.0),
)
"""Key, heading and factor of each figure in a table."""

BASELINE_TITLE = "F1-T of the best global threshold"


@dataclass(frozen=True)
class Result:
    """One evaluated network; what its stages have written, ready for JSON.

    Attributes:
        metrics: `metrics.json` of `evaluate`.
        intervals: `intervals.json` of `evaluate`.
        breakdown: `breakdown.json` of `evaluate`.
        speed: `speed.json` of `evaluate`.
        run: `run.json` of `train`.
        trained: `metrics.json` of `train`.
        recipe: the training parameters in words.
        attribution: where the images come from.
    """

    metrics: dict[str, Any]
    intervals: dict[str, Any]
    breakdown: dict[str, Any]
    speed: dict[str, Any]
    run: dict[str, Any]
    trained: dict[str, Any]
    recipe: str
    attribution: str


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        head: of the columns.
        rows: cells.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """The table in Markdown, without a line break at the end."""
        lines = [self.head, ("---",) * len(self.head), *self.rows]
        cells = ((cell.replace("|", r"\|") for cell in line) for line in lines)
        return "\n".join(f"| {' | '.join(line)} |" for line in cells)

    def html(self) -> str:
        """The table in HTML."""
        head = "".join(f"<th>{escape(cell)}</th>" for cell in self.head)
        lines = ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in self.rows]
        body = "".join(f"<tr>{line}</tr>" for line in lines)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def figures_table(results: Sequence[Result]) -> Table:
    """Figures on the test part, with intervals, beside the best global threshold.

    How long each network was trained stands with them: figures of unequal effort do not compare.
    """
    head = ("Profile", "Network", "Trained", "Test part", *(title for _, title, _ in FIGURES))
    return Table((*head, BASELINE_TITLE), tuple(map(_figures_row, results)))


def conditions_table(results: Sequence[Result]) -> Table:
    """What the figures hold under, and what they cost."""
    head = ("Profile", "Network", "Parameters", "Recipe", "Counting", "Training", "Speed", "Commit")
    return Table(head, tuple(map(_conditions_row, results)))


def breakdown_table(results: Sequence[Result]) -> Table:
    """P_d by SCR and by size of the target, see `irstd.evaluation.breakdown`."""
    rows = [
        (result.metrics["network"], title, _bounds(one), str(one["targets"]), number(one["pd"]))
        for result in results
        for key, title in (("scr", "SCR"), ("area_px", "area in pixels"))
        for one in result.breakdown[key]
    ]
    return Table(("Network", "Targets by", "Range", "Targets", "P_d"), tuple(rows))


def interval_note(results: Sequence[Result]) -> str:
    """One line that says what the brackets mean."""
    shown = results[0].intervals
    return (
        f"In brackets: {shown['confidence']:.0%} interval, percentile bootstrap over images, "
        f"{shown['samples']} samples. F_a (components): share of predicted components without a "
        "target; F_a (pixels): their pixels over all pixels. The best global threshold is chosen "
        "on the test part itself, in hindsight."
    )


def number(value: float | None, factor: float = 1.0) -> str:
    """A figure in three decimals, or one where it is scaled."""
    if value is None:
        return UNDEFINED
    return f"{value:.3f}" if factor == 1.0 else f"{factor * value:.1f}"


def duration(seconds: int | float) -> str:
    """Hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _figures_row(result: Result) -> tuple[str, ...]:
    m = result.metrics
    part = f"{m['source']}, {m['split']}: {m['n_images']} images, {m['n_targets']} targets"
    cells = (_with_interval(result, key, factor) for key, _, factor in FIGURES)
    trained = f"{duration(result.run['seconds'])}, {result.run['epochs']} epochs"
    return m["profile"], m["network"], trained, part, *cells, number(m["baseline_f1_target"])


def _with_interval(result: Result, key: str, factor: float) -> str:
    value = number(result.metrics[key], factor)
    bounds = result.intervals["intervals"][key]
    if value == UNDEFINED or bounds["low"] is None:
        return value
    return f"{value} [{number(bounds['low'], factor)}, {number(bounds['high'], factor)}]"


def _conditions_row(result: Result) -> tuple[str, ...]:
    m = result.metrics
    return (
        m["profile"],
        m["network"],
        f"{result.trained['parameters'] / 1e6:.2f} M",
        result.recipe,
        f"{m['convention']}, threshold {m['threshold']:g}, distance {m['distance_px']:g} px",
        f"{duration(result.run['seconds'])} on {result.run['device']}; "
        f"best epoch {result.trained['best_epoch'] + 1} of {result.run['epochs']}",
        _speed(result.speed),
        str(result.run["commit"])[:12],
    )


def _speed(speed: dict[str, Any]) -> str:
    one, many, latency = speed["sequential"], speed["batched"], speed["latency"]
    return (
        f"{one['images_per_s']:.1f} images/s one after another (batch {one['batch']}); "
        f"{many['images_per_s']:.1f} images/s in batches of {many['batch']} at {many['height']} x "
        f"{many['width']}; latency {latency['median_ms']:.1f} ms (p95 {latency['p95_ms']:.1f}) at "
        f"{latency['height']} x {latency['width']}; on {speed['device']}"
    )


def _bounds(one: dict[str, Any]) -> str:
    if one["low"] is None:
        return UNDEFINED
    if one["high"] is None:
        return f"{one['low']:g} and more"
    return f"{one['low']:g} to below {one['high']:g}"

"""Tables over evaluated networks: figures with intervals, and the conditions they hold under."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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

NOT_COUNTED, NOT_STATED = "-", "not stated"

FIELD_FIGURES = (
    ("Images with targets", "images_with_targets"),
    ("Targets", "targets"),
    ("P_d", "pd"),
    ("P_a", "pa"),
    ("P_a, images with targets", "pa_with_targets"),
    ("Images without", "images_without"),
    ("False alarms on these", "false_alarms_without"),
    ("Of these with alarm", "images_without_alarmed"),
    ("Share without alarm", "alarm_free_share"),
)
"""Heading and key of each figure of `irstd.evaluation.field.field_report` in a table."""

LOCATION_ERRORS, SEGMENTATION_ERRORS = ("itf", "pcp", "m2s", "s2m"), ("mrg", "itf", "pcp")

Columns = Sequence[tuple[str, Mapping[str, str], float]]

CONVENTION_FIGURES: Columns = (
    ("IoU", {"iou": ""}, 1.0),
    ("nIoU", {"niou_image": "per image", "niou_target": "per target"}, 1.0),
    ("Recall (pixAcc)", {"recall": "", "recall_target": "targets"}, 1.0),
    ("Precision", {"precision": "", "precision_target": "targets", "pa": "components (P_a)"}, 1.0),
    ("F1", {"f1": "pixels", "f1_target": "targets", "f1_image": "per image"}, 1.0),
    ("ROC area", {"roc_auc": ""}, 1.0),
    ("P_d", {"pd": "", "detected_share": "of images"}, 1.0),
    (
        "F_a (pixels) x 1e-6",
        {"fa_pixel": "", "fa_pixel_all": "all false", "fpr": "all false, of the background"},
        PER_MILLION,
    ),
    ("F_a (other)", {"fa_target": "of components", "fa_image": "per image"}, 1.0),
)
"""Columns of a table of conventions: heading, keys with what tells them apart, factor."""

HIERARCHICAL_FIGURES: Columns = (
    ("hIoU", {"hiou": ""}, 1.0),
    ("IoU_loc", {"iou_loc": ""}, 1.0),
    *((f"1 - IoU_loc: {e.upper()}", {f"error_loc_{e}": ""}, 1.0) for e in LOCATION_ERRORS),
    ("IoU_seg", {"iou_seg": ""}, 1.0),
    *((f"1 - IoU_seg: {e.upper()}", {f"error_seg_{e}": ""}, 1.0) for e in SEGMENTATION_ERRORS),
)
"""Columns of a table of hierarchical IoU, likewise."""

CONVENTION_NOTE = (
    "The same predictions, counted as the evaluation code of each paper counts them, defects "
    "included, each at its own matching distance. Figures of different rows do not compare. A dash "
    "is a figure that the convention does not have; all that it has are in `conventions.csv` of "
    "the evaluation."
)
HIERARCHICAL_NOTE = (
    "Hierarchical IoU: hIoU = IoU_loc IoU_seg, and what each of the two lacks to 1. Of IoU_loc: "
    "components (ITF) and targets (PCP) without candidate, components (M2S) and targets (S2M) "
    "beside a pair. Of IoU_seg: pixels on other targets (MRG), on background (ITF) and missing "
    "(PCP)."
)
FIELD_NOTE = (
    "Images with targets and images without: P_d = pairs / targets, P_a = pairs / predicted "
    "components; each predicted component on an image without target is a false alarm."
)

SEQUENCE_NOTE = "Each sequence by itself, and all images together."

SEQUENCE_FIGURES = (
    ("iou", "IoU", 1.0),
    ("niou_image", "nIoU per image", 1.0),
    ("pd", "P_d", 1.0),
    ("pa", "P_a", 1.0),
    ("fa_pixel", "F_a (pixels) x 1e-6", PER_MILLION),
)
"""Figures of a sequence in a table (`irstd.evaluation.breakdown.IMAGE_FIGURES`)."""

BINS = (
    ("scr", "SCR of the target"),
    ("area_px", "area of the target in pixels"),
    ("border_px", "distance of the target from the border in pixels"),
    ("targets", "targets in the image"),
    ("background", "background"),
)
"""Kinds of bins that are shown, and what they are called."""


@dataclass(frozen=True)
class Result:
    """One evaluated network; what its stages have written, ready for JSON.

    Attributes:
        metrics: `metrics.json` of `evaluate`.
        intervals: `intervals.json` of `evaluate`.
        breakdown: `breakdown.json` of `evaluate`.
        conventions: `conventions.json` of `evaluate`; empty in reports published before there was
            one.
        field_report: `field.json` of `evaluate`; empty likewise.
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
    conventions: dict[str, Any] = field(default_factory=dict)
    field_report: dict[str, Any] = field(default_factory=dict)


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
    """P_d with its interval by kind of target and of image, see `irstd.evaluation.breakdown`."""
    rows = [
        (result.metrics["network"], title, _bounds(one), str(one["targets"]), _pd(one))
        for result in results
        for key, title in BINS
        for one in result.breakdown.get(key, ())
    ]
    return Table(("Network", "By", "Range", "Targets", "P_d"), tuple(rows))


def conventions_table(contents: Mapping[str, Mapping[str, Any]]) -> Table:
    """The same predictions under several conventions, side by side.

    Args:
        contents: by what made the predictions, `conventions.json`.
    """
    head = ("Network", "Convention", *(title for title, _, _ in CONVENTION_FIGURES), "Defects")
    rows = [
        (
            network,
            name,
            *_convention_cells(one["figures"], CONVENTION_FIGURES),
            ", ".join(one["defects"]) or "none",
        )
        for network, content in contents.items()
        for name, one in content.items()
    ]
    return Table(head, tuple(rows))


def hierarchical_table(contents: Mapping[str, Mapping[str, Any]]) -> Table:
    """Hierarchical IoU and its errors, under the conventions that have it."""
    head = ("Network", "Convention", *(title for title, _, _ in HIERARCHICAL_FIGURES))
    rows = [
        (network, name, *_convention_cells(one["figures"], HIERARCHICAL_FIGURES))
        for network, content in contents.items()
        for name, one in content.items()
        if "hiou" in one["figures"]
    ]
    return Table(head, tuple(rows))


def defects_table(contents: Mapping[str, Mapping[str, Any]]) -> Table:
    """What the defects in `conventions_table` are."""
    named = {
        key: text
        for content in contents.values()
        for one in content.values()
        for key, text in one["defects"].items()
    }
    by_number = sorted(named.items(), key=lambda item: (item[0][0], int(item[0][1:])))
    return Table(("Defect", "What the published code does"), tuple(by_number))


def field_table(results: Sequence[Result]) -> Table | None:
    """Images with and without targets (ISPANet, Table IX); None where no image is without."""
    shown = [result for result in results if result.field_report.get("images_without")]
    head = ("Network", *(title for title, _ in FIELD_FIGURES))
    rows = tuple(
        (result.metrics["network"], *(_plain(result.field_report[key]) for _, key in FIELD_FIGURES))
        for result in shown
    )
    return Table(head, rows) if rows else None


def convention_parts(results: Sequence[Result]) -> list[Table | str]:
    """The same predictions under all conventions, and what is wrong with these.

    Returns:
        Tables and text; nothing where no result has other conventions.
    """
    contents = {f"{r.metrics['network']}": r.conventions for r in results if r.conventions}
    if not contents:
        return []
    hierarchical, defects = hierarchical_table(contents), defects_table(contents)
    parts: list[Table | str] = [CONVENTION_NOTE, conventions_table(contents)]
    if hierarchical.rows:
        parts += [HIERARCHICAL_NOTE, hierarchical]
    return [*parts, defects] if defects.rows else parts


def field_parts(results: Sequence[Result]) -> list[Table | str]:
    """Images with and without targets; nothing where no image is without."""
    table = field_table(results)
    return [] if table is None else [FIELD_NOTE, table]


def sequence_table(results: Sequence[Result]) -> Table | None:
    """Figures of each sequence, then of all images; None where there are no sequences."""
    rows = []
    for result in results:
        m, bins = result.metrics, result.breakdown.get("sequence", ())
        whole = {**m, "images": m["n_images"], "targets": m["n_targets"], "value": "all"}
        for one in (*bins, whole) if bins else ():
            counts = str(one["images"]), str(one["targets"])
            cells = (number(one[key], factor) for key, _, factor in SEQUENCE_FIGURES)
            rows.append((m["network"], _bounds(one), *counts, *cells))
    titles = (title for _, title, _ in SEQUENCE_FIGURES)
    head = ("Network", "Sequence", "Images", "Targets", *titles)
    return Table(head, tuple(rows)) if rows else None


def sequence_parts(results: Sequence[Result]) -> list[Table | str]:
    """Figures per sequence; nothing where there are no sequences."""
    table = sequence_table(results)
    return [] if table is None else [SEQUENCE_NOTE, table]


def undefined_parts(results: Sequence[Result]) -> list[Table | str]:
    """Why figures are undefined (`metrics.json`); nothing where all images have masks."""
    reasons = dict.fromkeys(r.metrics["undefined"] for r in results if "undefined" in r.metrics)
    return [f"Undefined: {reason}." for reason in reasons]


def markdown(parts: Sequence[Table | str]) -> str:
    """Tables and texts one below the other, without a line break at the end."""
    return "\n\n".join(part if isinstance(part, str) else part.markdown() for part in parts)


def all_parts(results: Sequence[Result]) -> list[Table | str]:
    """All tables with their notes."""
    return [
        figures_table(results),
        interval_note(results),
        *undefined_parts(results),
        conditions_table(results),
        *field_parts(results),
        *sequence_parts(results),
        *convention_parts(results),
        breakdown_table(results),
    ]


def interval_note(results: Sequence[Result]) -> str:
    """One line that says what the brackets mean."""
    shown = results[0].intervals
    return (
        f"In brackets: {shown['confidence']:.0%} interval, percentile bootstrap over "
        f"{shown['unit']}s, {shown['samples']} samples. F_a (components): share of predicted "
        "components without a target; F_a (pixels): their pixels over all pixels. The best global "
        "threshold is chosen on the test part itself, in hindsight."
    )


def number(value: float | None, factor: float = 1.0) -> str:
    """A figure in three decimals, or one where it is scaled."""
    if value is None or math.isnan(value):
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


def _plain(value: int | float | None) -> str:
    return str(value) if isinstance(value, int) else number(value)


def _convention_cells(figures: Mapping[str, float | None], columns: Columns) -> list[str]:
    return [
        ", ".join(
            f"{label} {number(figures[key], factor)}".lstrip()
            for key, label in keys.items()
            if key in figures
        )
        or NOT_COUNTED
        for _, keys, factor in columns
    ]


def _pd(one: dict[str, Any]) -> str:
    bounds = one["intervals"]["pd"]
    if one["pd"] is None or bounds["low"] is None:
        return number(one["pd"])
    return f"{number(one['pd'])} [{number(bounds['low'])}, {number(bounds['high'])}]"


def _bounds(one: dict[str, Any]) -> str:
    if "value" in one:
        return NOT_STATED if one["value"] is None else str(one["value"])
    if one["low"] is None:
        return UNDEFINED
    if one["high"] is None:
        return f"{one['low']:g} and more"
    return f"{one['low']:g} to below {one['high']:g}"

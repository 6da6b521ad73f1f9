"""Stage `evaluate`: what a trained network does on the test part."""

import hashlib
import logging
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from jaxtyping import Float32
from tqdm import tqdm

from irstd.config import Params
from irstd.data.store import PreparedData
from irstd.errors import DataError
from irstd.evaluation.bootstrap import (
    Interval,
    bootstrap_intervals,
    unit_name,
    unit_sums,
)
from irstd.evaluation.breakdown import breakdown
from irstd.evaluation.conventions import choose_conventions, write_conventions
from irstd.evaluation.evaluate import (
    Evaluation,
    baseline,
    evaluate_images,
    sequence_figures,
    split_hash,
)
from irstd.evaluation.field import field_counts, field_figures, field_report
from irstd.evaluation.figures import CURVES, curve_frame, draw, save_png
from irstd.evaluation.overlays import draw_overlay
from irstd.evaluation.predictions import PredictionWriter, StoredPredictions
from irstd.evaluation.scores import hit_levels, score_counts, score_figures
from irstd.evaluation.speed import BATCH, CPU_BATCH_PIXELS, measure_latency, measure_throughput
from irstd.evaluation.subjects import choose_subjects
from irstd.evaluation.summary import conventions_table
from irstd.evaluation.truth import lacking_pixels, true_targets
from irstd.files import replaced_folder, write_json
from irstd.inference.backends import Backend, TorchBackend
from irstd.inference.predictor import Predictor
from irstd.inference.weights import FINGERPRINT, ModelFacts, load_model
from irstd.layout import Layout
from irstd.metrics.components import label_components
from irstd.metrics.conventions import find_convention
from irstd.metrics.counts import count_components
from irstd.metrics.suite import MetricSuite
from irstd.tracking import track_run

log = logging.getLogger(__name__)

SPLIT = "test"
BASELINE = ("baseline_threshold", "baseline_f1_target")
PER_SEQUENCE = "per_sequence.csv"
MAIN = "ispanet"
"""The convention of `metrics.json` and of all that is derived from it; the others stand beside."""


def evaluate(root: Path, params: Params, network: str) -> dict[str, Any]:
    """Write `reports/evaluate/<profile>/<network>` and the network's predictions.

    The folder holds `metrics.json`, `intervals.json`, `breakdown.json`, `speed.json`,
    `field.json` (`irstd.evaluation.field`), `per_image.parquet`, `per_target.parquet`,
    `false_alarms.parquet`, `scores.parquet`, the curves of `irstd.evaluation.figures.CURVES` as CSV
    and PNG, the same predictions under other conventions (`irstd.evaluation.conventions`), and
    `overlays/`; where images belong to sequences, `per_sequence.csv` as well, its last row all
    images. The predictions stand in
    `artifacts/<profile>/<network>/predictions` (`irstd.evaluation.predictions`). Each of the two
    folders is replaced as a whole. All but `speed.json` depends on data, weights and parameters
    only. Figures and report are logged into the network's tracked run.

    Args:
        root: the project's folder.
        params: its parameters.
        network: model id.

    Returns:
        The content of `metrics.json`.

    Raises:
        DataError: nothing is prepared, or the test part is empty.
        ModelError: the weights are missing, damaged or of another network.
    """
    layout = Layout(root, params.profile)
    part = prepared_part(root, params)
    module, facts = load_model(layout.weights(network))
    key = facts.training_key(network, layout.weights(network))
    backend = TorchBackend(module)
    speed = time_network(backend, facts, part, params)
    subject = Subject(network, Predictor(backend, facts), {FINGERPRINT: key}, speed)
    with (
        replaced_folder(layout.predictions(network)) as stored,
        replaced_folder(layout.report("evaluate", network)) as folder,
    ):
        metrics, figures = write_evaluation(folder, stored, subject, part, params)
    with track_run(root, params, network, stage="evaluate", key=key) as run:
        run.metrics({f"{SPLIT}_{name}": value for name, value in figures.items()})
        run.artifact(layout.report("evaluate", network), "evaluate")
    return metrics


@dataclass(frozen=True)
class Part:
    """The images that something is evaluated on.

    Attributes:
        data: prepared images.
        rows: positions of the images.
        source: where they come from.
        split: by which split they were chosen.
    """

    data: PreparedData
    rows: list[int]
    source: str
    split: str

    def column(self, name: str) -> list[Any]:
        """Values of a column of the index, in the order of the rows."""
        values: list[Any] = self.data.index[name].iloc[self.rows].tolist()
        return values


@dataclass(frozen=True)
class Subject:
    """What is evaluated.

    Attributes:
        name: of the network, or what stands for it in `metrics.json` and figures.
        predictor: gives a probability map for each image.
        origin: what `metrics.json` says about where it comes from.
        speed: latency and speed in batches, for `speed.json`; None where no network runs: then
            there is no such file.
    """

    name: str
    predictor: Predictor
    origin: dict[str, str]
    speed: dict[str, Any] | None


def write_evaluation(
    folder: Path,
    stored: Path,
    subject: Subject,
    part: Part,
    params: Params,
    size: int | None = None,
) -> tuple[dict[str, Any], dict[str, float]]:
    """Evaluate and write the files that `evaluate` lists.

    Args:
        folder: for the report; empty.
        stored: for the predictions; empty.
        subject: what is evaluated.
        part: the images.
        params: the project's parameters.
        size: side of the images, see `MetricSuite`.

    Returns:
        The content of `metrics.json`, and its figures alone.
    """
    data, rows, threshold = part.data, part.rows, params.evaluate.threshold
    distance, row_of = matching_distance(params), _row_of(data)
    writer = PredictionWriter(stored, [data.mask(row).shape for row in rows], threshold)
    lacking = lacking_pixels(data, rows)
    suite = convention_suite(params, size, has_masks=lacking is None)

    def keep(id: str, probability: Float32[np.ndarray, "h w"]) -> None:
        writer.add(id, probability)
        if lacking is None:
            suite.update(probability, data.mask(row_of[id]))
        else:
            suite.update_targets(probability, true_targets(data, row_of[id]))

    found = evaluate_images(subject.predictor, data, rows, threshold, distance, keep)
    writer.close()
    figures = found.figures | dict(zip(BASELINE, baseline(data, rows, distance), strict=True))
    metrics = whole_counts(figures) | describe(params, subject.name, part) | subject.origin
    if lacking is not None:
        log.warning("%s: %s", subject.name, lacking)
        metrics |= {"undefined": lacking}
    write_json(folder / "metrics.json", metrics)
    if subject.speed is not None:
        sequential = {"images_per_s": found.sequential_per_s, "batch": 1, "images": len(rows)}
        write_json(folder / "speed.json", subject.speed | {"sequential": sequential})
    counted = write_conventions(
        folder, suite, part.column("id"), part.column("sequence"), bootstrap_settings(params)
    )
    log.info("%s", conventions_table({subject.name: counted}).markdown())
    write_tables(folder, found, part, params)
    write_curves(folder, found, subject.name)
    write_overlays(folder / "overlays", data, StoredPredictions(stored), found, params)
    return metrics, figures


def prepared_part(root: Path, params: Params) -> Part:
    """The test part of the active profile.

    Raises:
        DataError: nothing is prepared, or the test part is empty.
    """
    data = PreparedData(Layout(root, params.profile).processed)
    return Part(data, evaluated_rows(data), params.data.source, params.data.split)


def evaluated_rows(data: PreparedData) -> list[int]:
    """Rows of the test part.

    Raises:
        DataError: there are none.
    """
    rows: list[int] = data.rows(SPLIT).tolist()
    if not rows:
        raise DataError(
            f"{data.folder}: expected images in the {SPLIT} part, got none of {len(data)}; "
            "raise data.limit or change data.split, then run `irstd prepare`"
        )
    return rows


def matching_distance(params: Params) -> float:
    """Largest distance of a target and its detection in pixels; ISPANet's own if not set."""
    chosen = params.evaluate.distance, find_convention(MAIN).distance_px
    return next(distance for distance in chosen if distance is not None)


def convention_suite(params: Params, size: int | None, *, has_masks: bool) -> MetricSuite:
    """Counts the chosen conventions; the distance is for those that leave it open.

    Without masks it counts `MAIN` alone: the others need the pixels of targets.
    """
    names = choose_conventions(params.evaluate.convention) if has_masks else (MAIN,)
    takes_distance = any(find_convention(name).distance_open for name in names)
    distance = matching_distance(params) if takes_distance else None
    return MetricSuite(names, params.evaluate.threshold, distance, size)


def time_network(backend: Backend, facts: ModelFacts, part: Part, params: Params) -> dict[str, Any]:
    """Device, latency on the test image of median size, and speed in batches of those near it."""
    data = part.data
    by_size = sorted(part.rows, key=lambda row: data.mask(row).size)
    middle = len(by_size) // 2
    predict = partial(Predictor(backend, facts).predict, threshold=params.evaluate.threshold)
    latency = measure_latency(predict, data.image(by_size[middle]), params.evaluate.latency_runs)
    near = by_size[max(0, middle - BATCH // 2) :][:BATCH]
    limit = None if torch.cuda.is_available() else CPU_BATCH_PIXELS
    images = [data.image(row) for row in near]
    throughput = measure_throughput(backend, facts, images, limit)
    machine = {"device": backend.device_name, "cpu_threads": torch.get_num_threads()}
    return machine | {"latency": {"batch": 1} | asdict(latency), "batched": asdict(throughput)}


def describe(params: Params, network: str, part: Part) -> dict[str, Any]:
    """What the figures belong to: without it no figure is comparable."""
    return {
        "profile": params.profile,
        "network": network,
        "source": part.source,
        "split": part.split,
        "split_hash": split_hash(part.column("id")),
        "data_checksum": part.data.checksum,
        "masks_checksum": masks_checksum(part),
        "convention": MAIN,
        "threshold": params.evaluate.threshold,
        "distance_px": matching_distance(params),
    }


def masks_checksum(part: Part) -> str:
    """SHA-256 over id, size and pixels of every mask, ordered by id: equal for equal masks."""
    digest = hashlib.sha256()
    for id, row in sorted(zip(part.column("id"), part.rows, strict=True)):
        mask = part.data.mask(row)
        digest.update(f"{id}\t{mask.shape}\n".encode() + mask.tobytes())
    return digest.hexdigest()


def whole_counts(figures: dict[str, float]) -> dict[str, float | int]:
    """The figures, with counts as whole numbers."""
    counts = {"false_on_empty", *(name for name in figures if name.startswith("n_"))}
    return {name: int(x) if name in counts else x for name, x in figures.items()}


def write_tables(folder: Path, found: Evaluation, part: Part, params: Params) -> None:
    """Write the tables, the field report, the breakdown and the bootstrap intervals.

    Every figure, those of the field report too, has an interval but those of `BASELINE`: their
    threshold is the best one of all images, and each sample would have another.
    """
    pq.write_table(found.per_image, folder / "per_image.parquet")
    pq.write_table(found.per_target, folder / "per_target.parquet")
    pq.write_table(found.false_alarms, folder / "false_alarms.parquet")
    pq.write_table(found.scores, folder / "scores.parquet")
    sequences, drawn = part.column("sequence"), bootstrap_settings(params)
    per_image, per_target = found.per_image.to_pandas(), found.per_target.to_pandas()
    bins = breakdown(per_image, per_target, part.data.index, *drawn)
    write_json(folder / "breakdown.json", bins)
    if unit_name(sequences) == "sequence":
        table = sequence_figures(found.counts, sequences)
        table.to_csv(folder / PER_SEQUENCE, index=False, lineterminator="\n")
    alarms, scores = found.false_alarms.to_pandas(), found.scores.to_pandas().set_index("id")
    ranked = score_counts(scores, per_target, alarms, hit_levels(per_target))
    intervals = bootstrap_intervals(unit_sums(found.counts, sequences), *drawn)
    intervals |= bootstrap_intervals(unit_sums(ranked, sequences), *drawn, score_figures)
    samples, confidence, seed = drawn
    how = {"unit": unit_name(sequences), "samples": samples, "confidence": confidence, "seed": seed}
    fields = field_counts(found.counts)
    of_fields = bootstrap_intervals(unit_sums(fields, sequences), *drawn, field_figures)
    report = field_report(fields) | _described(of_fields, how)
    write_json(folder / "field.json", report)
    write_json(folder / "intervals.json", _described(intervals | of_fields, how))


def _described(intervals: dict[str, Interval], how: dict[str, Any]) -> dict[str, Any]:
    return how | {"intervals": {name: asdict(interval) for name, interval in intervals.items()}}


def bootstrap_settings(params: Params) -> tuple[int, float, int]:
    """Samples, confidence and seed."""
    settings = params.evaluate.bootstrap
    return settings.samples, settings.confidence, params.seed


def write_curves(folder: Path, found: Evaluation, network: str) -> None:
    """Write each curve as CSV and PNG."""
    for name, curve in found.curves.items():
        frame = curve_frame(curve)
        frame.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
        panels = [(plot, {network: frame}) for plot in CURVES[name]]
        save_png(draw(panels), folder / f"{name}.png")


def write_overlays(
    folder: Path, data: PreparedData, stored: StoredPredictions, found: Evaluation, params: Params
) -> None:
    """Draw the worst misses and false alarms; file names sort by rank."""
    folder.mkdir()
    subjects = choose_subjects(
        found.per_target.to_pandas(), found.false_alarms.to_pandas(), params.evaluate.overlays
    )
    row_of = _row_of(data)
    distance = matching_distance(params)
    for rank, subject in enumerate(tqdm(subjects, desc="overlays", unit="image"), start=1):
        row = row_of[subject.id]
        predicted = label_components(stored.mask(subject.id))
        counts = count_components(true_targets(data, row), predicted, distance)
        figure = draw_overlay(data.image(row), counts, subject)
        name = f"{rank:02d}_{subject.kind}_{subject.id.replace('/', '_')}.png"
        save_png(figure, folder / name)


def _row_of(data: PreparedData) -> dict[str, int]:
    return {id: row for row, id in enumerate(data.index["id"])}

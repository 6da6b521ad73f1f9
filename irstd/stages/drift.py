"""Stage `drift`: has a new batch of images changed from what a network was trained on?"""

import logging
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from irstd.config import Params
from irstd.config.drift import DriftParams
from irstd.data.drift import (
    MEANINGS,
    UNREADABLE,
    Comparison,
    Measured,
    compare,
    independent_rows,
    measure_images,
    measure_prepared,
    sample,
    too_many_unreadable,
    verdict,
)
from irstd.data.drift_figure import draw_figures
from irstd.data.entries import Contents
from irstd.data.faults import FaultLog, read_images
from irstd.data.index import INDEX_FILE
from irstd.data.layouts import find_layouts, read_contents
from irstd.data.listing import Listed
from irstd.data.pixels import Grey
from irstd.data.store import PreparedData, write_prepared
from irstd.data.tree import scan
from irstd.errors import ConfigError, DataError, ModelError
from irstd.files import replaced, write_json, write_text
from irstd.inference.inputs import Source, find_sources, read_frames
from irstd.inference.onnx_file import read_onnx
from irstd.inference.weights import read_facts
from irstd.layout import Layout
from irstd.stages.model_reference import resolve_model

VERDICT_FILE = "drift.json"
LEAST_SIDE_PX = 8

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """A network and what it was trained on.

    Attributes:
        model: its file or reference, as named by the user or found.
        network: model id.
        profile: of its training.
        data_checksum: of the data prepared then.
    """

    model: str
    network: str
    profile: str
    data_checksum: str


def check_drift(
    root: Path,
    params: Params,
    new: Path,
    *,
    reference: str | None = None,
    network: str | None = None,
    model: str | None = None,
) -> dict[str, Any]:
    """Compare new images with those a network was trained on; write `reports/drift/<profile>`.

    The report holds `drift.json` (the verdict, for machines), `summary.md` with `figures.png`, and
    `measurements.csv`, from which the figures are drawn.

    Args:
        root: the project's folder.
        params: its parameters.
        new: a prepared folder, all parts of which are taken; a folder with ground truth in one of
            the layouts of `irstd.data.layouts`; or a folder of images and videos alone, whose
            targets are unknown. A sequence or video gives one frame.
        reference: profile whose prepared training part is compared with; None: the active one.
        network: one that was trained under that profile; None: the first of `train.networks`, if
            it was, else the prepared images are the reference without a network.
        model: instead of `network`, see `irstd.stages.model_reference.FORMS`.

    Returns:
        What `drift.json` holds. Its `verdict` is `drift`, `no_drift`, or `undecided` where there
        are too few images.

    Raises:
        ConfigError: both a network and a model.
        DataError: the reference is not prepared or other data than the network was trained on, or
            there is no readable image in `new`.
        ModelError: the network was not trained, or its file does not say on which data.
    """
    layout = Layout(root, reference or params.profile)
    data = PreparedData(layout.processed)
    trained = _find_trained(layout, params, network, model)
    _check_reference(data, trained)
    return _compare(data, params.drift, params.seed, new, layout.report("drift"), trained)


def _find_trained(
    layout: Layout, params: Params, network: str | None, model: str | None
) -> Trained | None:
    if network is not None and model is not None:
        raise ConfigError(f"expected a network or a model, got both, {network} and {model}")
    if model is not None:
        return _read_trained(resolve_model(model, layout.root), model)
    weights = layout.weights(network or params.train.networks[0])
    if network is None and not weights.is_file():
        log.warning("drift: %s was not trained; compared with what is prepared now", weights)
        return None
    return _read_trained(weights, str(weights.relative_to(layout.root)))


def _read_trained(path: Path, model: str) -> Trained:
    facts = read_onnx(path).facts if path.suffix == ".onnx" else read_facts(path)
    missing = {"profile", "data_checksum"} - set(facts.provenance)
    if missing:
        raise ModelError(
            f"{model}: expected a network trained by `irstd train`, got one whose facts lack "
            f"{sorted(missing)}; it does not say on which data it was trained"
        )
    origin = facts.provenance
    return Trained(model, facts.network, origin["profile"], origin["data_checksum"])


def _check_reference(data: PreparedData, trained: Trained | None) -> None:
    if trained is not None and trained.data_checksum != data.checksum:
        raise DataError(
            f"{data.folder}: expected the data that {trained.model} was trained on (profile "
            f"{trained.profile}, checksum {trained.data_checksum}), got {data.checksum}; prepare "
            "that version again, or name its profile as the reference"
        )


def _compare(
    data: PreparedData,
    params: DriftParams,
    seed: int,
    new: Path,
    report: Path,
    trained: Trained | None,
) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    known = _measure_rows(data, data.rows("train"), params, rng)
    unreadable: list[dict[str, str]] = []
    if (new / INDEX_FILE).is_file():
        batch = PreparedData(new)
        measured = _measure_rows(batch, np.arange(len(batch)), params, rng)
    else:
        measured = _measure_files(new, report, params, rng, unreadable)
    comparisons = compare(known, measured, params, seed)
    document = _document(data, known, new, measured, comparisons, params, unreadable)
    document["reference"]["network"] = None if trained is None else asdict(trained)
    _write(report, document, known, measured, comparisons)
    return document


def _measure_rows(
    data: PreparedData, rows: np.ndarray, params: DriftParams, rng: np.random.Generator
) -> Measured:
    independent = independent_rows(data, rows).tolist()
    if not independent:
        raise DataError(f"{data.folder}: expected images to compare, got none; prepare them again")
    return measure_prepared(data, sample(independent, params.most_images, rng))


def _measure_files(
    folder: Path,
    skip: Path,
    params: DriftParams,
    rng: np.random.Generator,
    unreadable: list[dict[str, str]],
) -> Measured:
    tree = scan(folder)
    if find_layouts(tree)[1]:
        return _measure_labelled(read_contents(tree), params, rng, unreadable)
    sources = find_sources([folder], skip=skip)
    chosen = [sources[place] for place in sample(range(len(sources)), params.most_images, rng)]
    return measure_images(_first_frames(chosen, folder, unreadable))


def _measure_labelled(
    contents: Contents,
    params: DriftParams,
    rng: np.random.Generator,
    unreadable: list[dict[str, str]],
) -> Measured:
    first: dict[str, Listed] = {}
    for entry in sorted(contents.entries.values(), key=lambda entry: entry.frame or 0):
        first.setdefault(entry.sequence or entry.id, Listed(entry, "test"))
    items = list(first.values())
    chosen = [items[place] for place in sample(range(len(items)), params.most_images, rng)]
    faults = FaultLog("quarantine")
    with tempfile.TemporaryDirectory(prefix="irstd-drift-") as scratch:
        write_prepared(
            Path(scratch), read_images(contents, chosen, faults), str(contents.tree.root)
        )
        data = PreparedData(Path(scratch))
        measured = measure_prepared(data, range(len(data)))
    unreadable += [{"file": fault.file, "reason": fault.reason} for fault, _ in faults.entries]
    return measured


def _first_frames(
    sources: list[Source], folder: Path, unreadable: list[dict[str, str]]
) -> Iterator[Grey]:
    """The first image of each source; what cannot be read is listed.

    Raises:
        DataError: at the end, if nothing could be read.
    """
    for source in sources:
        try:
            image = next(read_frames(source))[1]
            if min(image.shape) < LEAST_SIDE_PX:
                raise DataError(
                    f"expected at least {LEAST_SIDE_PX} x {LEAST_SIDE_PX} px, got {image.shape}"
                )
        except DataError as error:
            reason = str(error).removeprefix(f"{source.path}: ")
            unreadable.append({"file": source.name, "reason": reason})
            log.warning("drift: %s: %s", source.name, reason)
        else:
            yield image
    if len(unreadable) == len(sources):
        first = unreadable[0]
        raise DataError(
            f"{folder}: none of {len(sources)} files could be read; {first['file']}: "
            f"{first['reason']}; copy them again"
        )


def _document(
    data: PreparedData,
    known: Measured,
    new: Path,
    measured: Measured,
    comparisons: tuple[Comparison, ...],
    params: DriftParams,
    unreadable: list[dict[str, str]],
) -> dict[str, Any]:
    is_unreadable = too_many_unreadable(len(unreadable), len(measured.figures), params)
    return {
        "verdict": verdict(comparisons, is_unreadable),
        "changed": [item.name for item in comparisons if item.changed]
        + [UNREADABLE] * is_unreadable,
        "not_tested": [item.name for item in comparisons if np.isnan(item.p)],
        "reference": {
            "folder": str(data.folder),
            "data_checksum": data.checksum,
            "images": len(known.figures),
        },
        "new": {"folder": str(new), "images": len(measured.figures), "unreadable": unreadable},
        "parameters": params.model_dump(),
        "tests": [asdict(item) for item in comparisons],
    }


def _write(
    folder: Path,
    document: dict[str, Any],
    known: Measured,
    measured: Measured,
    comparisons: tuple[Comparison, ...],
) -> None:
    """The verdict comes last: what it speaks of is there."""
    batches = {"reference": known.figures, "new": measured.figures}
    table = pd.concat(batches, names=["batch"]).reset_index("batch")
    write_text(folder / "measurements.csv", table.to_csv(index=False, lineterminator="\n"))
    with replaced(folder / "figures.png") as temporary:
        draw_figures(table).savefig(temporary, format="png")
    write_text(folder / "summary.md", _markdown(document, comparisons))
    write_json(folder / VERDICT_FILE, document)


def _markdown(document: dict[str, Any], comparisons: tuple[Comparison, ...]) -> str:
    rate = document["parameters"]["false_alarm_rate"]
    changed = ", ".join(document["changed"]) or "nothing"
    reference, new = document["reference"], document["new"]
    lines = [
        f"# Drift: {document['verdict']}",
        "",
        f"Changed: {changed}. At most a share of {rate:g} of unchanged batches is called changed.",
        "",
        f"- reference: {reference['folder']}, {reference['images']} images, {_origin(reference)}",
        f"- new: {new['folder']}, {new['images']} images",
        *(f"- not read: {item['file']}: {item['reason']}" for item in new["unreadable"]),
        "",
        "| figure | meaning | images | median, reference | median, new | distance | p, adjusted |",
        "|---|---|---|---|---|---|---|",
        *(_table_row(item) for item in comparisons),
        "",
        "![distribution functions](figures.png)",
        "",
    ]
    return "\n".join(lines)


def _origin(reference: dict[str, Any]) -> str:
    trained = reference["network"]
    if trained is None:
        return "as prepared now; no network was trained on them"
    return f"on which {trained['network']} ({trained['model']}) was trained"


def _table_row(item: Comparison) -> str:
    name = f"**{item.name}**" if item.changed else item.name
    numbers = (item.reference, item.new, item.distance, item.p_adjusted)
    shown = ("-" if np.isnan(value) else f"{value:.4g}" for value in numbers)
    images = f"{item.n_reference} / {item.n_new}"
    return f"| {name} | {MEANINGS[item.name]} | {images} | {' | '.join(shown)} |"

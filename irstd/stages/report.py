"""One page over all results of a profile, readable offline."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from irstd.config import Params
from irstd.errors import DataError
from irstd.evaluation import page
from irstd.evaluation.figures import draw, png_bytes
from irstd.evaluation.summary import (
    Result,
    Table,
    all_parts,
    breakdown_table,
    conditions_table,
    convention_parts,
    field_parts,
    figures_table,
    interval_note,
    markdown,
    number,
    sequence_parts,
    undefined_parts,
)
from irstd.files import read_json, replaced_folder, write_text
from irstd.layout import Layout
from irstd.stages.publish import publish as publish_summary
from irstd.stages.publish import published_picture, published_table, update_readme
from irstd.stages.results import overlay_files, read_curves, read_history, read_results

DATA_DOCS = "index.html"

log = logging.getLogger(__name__)


def report(
    root: Path, params: Params, publish: Path | None = None, readme: Path | None = None
) -> Path:
    """Write `reports/summary/<profile>/index.html` and `summary.md`.

    The page holds its pictures; links lead to the validation report and the ONNX files beside it.

    Args:
        root: the project's folder.
        params: its parameters.
        publish: where to write a short report for the repository as well, see
            `irstd.stages.publish`.
        readme: file whose blocks `results` (table of all published reports, those beside
            `publish` or in `reports/published`) and `picture` (of the newest) are renewed.

    Returns:
        The page.

    Raises:
        DataError: a stage has not run yet, or nothing is published to put into `readme`.
        ConfigError: `readme` has no place for table or picture.
    """
    results = read_results(root, params)
    layout = Layout(root, params.profile)
    places = find_places(root, params)
    target = layout.report("summary") / "index.html"
    html = build_page(root, params, results, links_from(target.parent, places))
    with replaced_folder(target.parent) as folder:
        write_text(folder / target.name, html)
        write_text(folder / "summary.md", summarise(params, results))
    for text, path in places:
        log.info("%s%s", text, f": {path}" if path else "")
    for result in results:
        log.info("%s", headline(result))
    if publish is not None:
        publish_summary(root, params, publish)
    if readme is not None:
        published = root / "reports" / "published" if publish is None else publish.parent
        picture = published_picture(published, readme)
        update_readme(readme, {"results": published_table(published), "picture": picture})
    return target


def headline(result: Result) -> str:
    """The figures a first run is judged by."""
    m = result.metrics
    return (
        f"{m['network']}: F1-T {number(m['f1_target'])}, best global threshold "
        f"{number(m['baseline_f1_target'])}; IoU {number(m['iou'])}, P_d {number(m['pd'])}"
    )


def find_places(root: Path, params: Params) -> list[tuple[str, Path | None]]:
    """Where else to look: text, and the file if it is one."""
    layout = Layout(root, params.profile)
    docs = layout.report("validate") / DATA_DOCS
    places = [
        ("Validation of the data", docs)
        if docs.is_file()
        else ("Validation of the data: not made yet, run `irstd validate`", None)
    ]
    for network in params.train.networks:
        onnx = layout.onnx(network)
        places.append(
            (f"ONNX file of {network}", onnx)
            if onnx.is_file()
            else (f"ONNX file of {network}: not made yet, run `irstd export {network}`", None)
        )
    return [*places, (_store(layout.report("register") / "receipt.json"), None)]


def links_from(folder: Path, places: list[tuple[str, Path | None]]) -> list[tuple[str, str]]:
    """The places as links relative to the folder of a page."""
    return [
        (text, Path(os.path.relpath(path, folder)).as_posix() if path else "")
        for text, path in places
    ]


def build_page(
    root: Path, params: Params, results: list[Result], links: list[tuple[str, str]]
) -> str:
    """The page as HTML."""
    sheet = Layout(root, params.profile).report("prepare") / "samples.png"
    if not sheet.is_file():
        raise DataError(f"{sheet}: not found; run `irstd prepare` first")
    curves = png_bytes(draw(read_curves(root, params)))
    history = png_bytes(draw(read_history(root, params)))
    overlays = [
        page.section(f"{network}: misses, false alarms, hits", _overlays(root, params, network))
        for network in params.train.networks
    ]
    sections = [
        *_section(
            "Test part", [figures_table(results), interval_note(results), *undefined_parts(results)]
        ),
        *_section("Conditions", [conditions_table(results)]),
        page.section("See also", page.links(links)),
        page.section("Samples", page.picture(sheet.read_bytes(), results[0].attribution)),
        page.section("Training", page.picture(history, "Loss and validation IoU per epoch")),
        page.section("Curves on the test part", page.picture(curves, "Curves of all networks")),
        *_section("Images with and without targets", field_parts(results)),
        *_section("Sequences", sequence_parts(results)),
        *_section("Conventions", convention_parts(results)),
        *_section("By kind of target and image", [breakdown_table(results)]),
        *overlays,
    ]
    return page.page(f"irstd: profile {params.profile}", sections)


def summarise(params: Params, results: list[Result]) -> str:
    """The tables as Markdown."""
    title = f"# Profile {params.profile}"
    return markdown([title, *all_parts(results), results[0].attribution]) + "\n"


def _section(title: str, parts: Sequence[Table | str]) -> list[str]:
    """A section of tables and paragraphs; none without a part."""
    shown = [page.paragraph(part) if isinstance(part, str) else part.html() for part in parts]
    return [page.section(title, *shown)] if shown else []


def _overlays(root: Path, params: Params, network: str) -> str:
    files = overlay_files(root, params, network)
    if not files:
        return page.paragraph("No target and no false alarm to show.")
    return page.grid([page.picture(file.read_bytes(), file.stem) for file in files])


def _store(receipt: Path) -> str:
    if not receipt.is_file():
        return "MLflow store: nothing registered yet, run `irstd register`"
    content: dict[str, Any] = read_json(receipt, "irstd register")
    versions = ", ".join(
        f"{network} is version {one['version']}" for network, one in content["versions"].items()
    )
    return f"MLflow store {content['store']}, model {content['model']}: {versions}"

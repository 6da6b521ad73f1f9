"""Stage `validate`: the expectations over the prepared data, their report, and the stop."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from irstd.config import Params
from irstd.data.audit import audit, stated_shares
from irstd.data.datadocs import offline_page
from irstd.data.faults import read_quarantine
from irstd.data.store import PreparedData
from irstd.data.verdict import Outcome, judge
from irstd.errors import DataError
from irstd.files import write_json, write_text
from irstd.layout import Layout

log = logging.getLogger(__name__)


def validate(root: Path, params: Params) -> tuple[Outcome, ...]:
    """Judge the prepared data and write `reports/validate/<profile>`.

    The report holds `metrics.json` (counts), `result.json` (each expectation) and `index.html`
    (Data Docs). It is written before a failure stops the pipeline.

    Args:
        root: the project's folder.
        params: its parameters.

    Raises:
        DataError: the data is not prepared, or an expectation of severity `stop` failed.
    """
    layout = Layout(root, params.profile)
    data = PreparedData(layout.processed)
    faults = read_quarantine(layout.processed)
    left_out = int(faults.loc[faults["action"] == "left out", "id"].nunique())
    limits = params.validation
    table = audit(
        data,
        left_out,
        stated_shares(params.data),
        limits.near_duplicate_ssim,
        limits.near_duplicate_bits,
    )
    outcomes, result = judge(table, limits)
    folder = layout.report("validate")
    summary = summarise(outcomes) | {"images": len(data), "data_checksum": data.checksum}
    failures = [f"{outcome} ({outcome.severity})" for outcome in outcomes if not outcome.success]
    title = f"Validation of {params.data.source}, profile {params.profile}"
    write_json(folder / "metrics.json", summary)
    write_json(folder / "result.json", [asdict(outcome) for outcome in outcomes])
    write_text(folder / "index.html", offline_page(result, title, failures))
    _report_failures(outcomes, folder)
    return outcomes


def summarise(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Whether the pipeline goes on, and how many expectations of each severity failed."""
    failed = [outcome.severity for outcome in outcomes if not outcome.success]
    return {
        "success": "stop" not in failed,
        "expectations": len(outcomes),
        "failed_stop": failed.count("stop"),
        "failed_warn": failed.count("warn"),
    }


def _report_failures(outcomes: Sequence[Outcome], folder: Path) -> None:
    failed = [outcome for outcome in outcomes if not outcome.success]
    for outcome in failed:
        if outcome.severity == "warn":
            log.warning("validate: %s", outcome)
    fatal = [str(outcome) for outcome in failed if outcome.severity == "stop"]
    if fatal:
        raise DataError(
            f"{len(fatal)} of {len(outcomes)} expectations failed:\n  "
            + "\n  ".join(fatal)
            + "\ncorrect the data, or change limits and severities under `validate` in "
            f"params.yaml; {folder / 'index.html'} shows all"
        )

"""What a study found: figures, table of trials, history."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from irstd.evaluation.figures import save_png
from irstd.files import write_json, write_text
from irstd.tuning.study import FAULT, RETRY_OF

METRICS_FILE, TRIALS_FILE, HISTORY_FILE = "metrics.json", "trials.csv", "history.png"
MARKERS = {"complete": ("o", "tab:blue"), "pruned": ("x", "tab:orange")}


@dataclass(frozen=True)
class Summary:
    """Outcome of a study so far. Best values are reported, never written into `params.yaml`.

    Attributes:
        study: its name.
        n_complete: trials that ran to their end.
        n_pruned: trials stopped because they fell behind.
        n_failed: trials whose training failed, interrupted ones included.
        best_trial: number of the best complete trial, None where none is complete.
        best_val_iou: its IoU on the validation part.
        best_params: its alpha, gamma and width.
    """

    study: str
    n_complete: int
    n_pruned: int
    n_failed: int
    best_trial: int | None
    best_val_iou: float | None
    best_params: dict[str, float | int]


def summarise(study: optuna.Study) -> Summary:
    """Count the trials of a study and pick the best complete one (the earliest among equals)."""
    trials = study.get_trials(deepcopy=False)
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    best = max(done, key=lambda trial: (trial.values[0], -trial.number), default=None)
    return Summary(
        study=study.study_name,
        n_complete=len(done),
        n_pruned=sum(trial.state == TrialState.PRUNED for trial in trials),
        n_failed=sum(trial.state == TrialState.FAIL for trial in trials),
        best_trial=best.number if best else None,
        best_val_iou=best.values[0] if best else None,
        best_params=dict(best.params) if best else {},
    )


def trial_table(study: optuna.Study) -> pd.DataFrame:
    """One row per ended trial.

    Returns:
        Columns number, state, val_iou (of a pruned trial: its best epoch; none for a failed one),
        epochs (validated ones), alpha, gamma, width, seconds, retry_of, fault.
    """
    rows = [_row(trial) for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
    frame = pd.DataFrame(rows, columns=list(_COLUMNS))
    return frame.astype({"width": "Int64", "retry_of": "Int64"})


def write_report(study: optuna.Study, folder: Path) -> Summary:
    """Write `metrics.json`, `trials.csv` and `history.png`."""
    summary, table = summarise(study), trial_table(study)
    write_json(folder / METRICS_FILE, asdict(summary))
    write_text(folder / TRIALS_FILE, table.to_csv(index=False))
    draw_history(table, folder / HISTORY_FILE)
    return summary


def draw_history(table: pd.DataFrame, path: Path) -> None:
    """Draw the validation IoU of each trial and the best so far.

    Args:
        table: from `trial_table`.
        path: PNG file.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(6.4, 3.6), dpi=120, layout="constrained")
    axes = figure.subplots()
    for state, (marker, color) in MARKERS.items():
        part = table[table["state"] == state]
        axes.scatter(part["number"], part["val_iou"], marker=marker, color=color, label=state)
    done = table[table["state"] == "complete"]
    axes.step(done["number"], done["val_iou"].cummax(), where="post", color="black", label="best")
    axes.set(xlabel="trial", ylabel="IoU on the validation part")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()
    save_png(figure, path)


_COLUMNS = (
    "number",
    "state",
    "val_iou",
    "epochs",
    "alpha",
    "gamma",
    "width",
    "seconds",
    "retry_of",
    "fault",
)


def _row(trial: FrozenTrial) -> dict[str, Any]:
    failed = trial.state == TrialState.FAIL
    seen = list(trial.intermediate_values.values())
    value = trial.values[0] if trial.state == TrialState.COMPLETE else max(seen, default=None)
    return {
        "number": trial.number,
        "state": trial.state.name.lower(),
        "val_iou": None if failed else value,
        "epochs": len(seen),
        **{name: trial.params.get(name) for name in ("alpha", "gamma", "width")},
        "seconds": trial.duration.total_seconds() if trial.duration else None,
        RETRY_OF: trial.user_attrs.get(RETRY_OF),
        FAULT: trial.user_attrs.get(FAULT, "interrupted") if failed else "",
    }

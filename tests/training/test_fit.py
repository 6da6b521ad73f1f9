"""Training learns, is repeatable, resumes after a kill, and starts anew when anything changed."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import torch

from irstd.config import FitParams
from irstd.config.synthesis import AddedTargetsParams
from irstd.errors import DataError, ModelError
from irstd.training import fit
from irstd.training.checkpoints import load_checkpoint

NATIVE = FitParams(method="native", height=64, width=64)


def weights(result) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in result.network.state_dict().items()}


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def run(data, recipe, folder, **options):
    return fit(data, "ispanet", recipe, 7, NATIVE, folder, progress=False, **options)


def test_the_same_seed_gives_the_same_weights(small_data, recipe, tmp_path):
    one = run(small_data, recipe, tmp_path / "one")
    other = run(small_data, recipe, tmp_path / "other")
    assert_same(weights(one), weights(other))
    assert [row["train_loss"] for row in one.history] == [
        row["train_loss"] for row in other.history
    ]


def test_targets_are_added_to_the_training_images(small_data, recipe):
    added = AddedTargetsParams.model_validate(
        {
            "share": 1.0,
            "count": {"low": 1, "high": 1},
            "scr": {"low": 3.0, "high": 9.0},
            "targets": {"name": "pasted"},
        }
    )
    short = recipe.model_copy(update={"epochs": 1})
    with_them, again, without = (
        run(small_data, short, None, added_targets=choice).history[0]["train_loss"]
        for choice in (added, added, None)
    )
    assert with_them == again
    assert with_them != without


def test_history_and_best_epoch_agree(small_data, recipe, tmp_path):
    result = run(small_data, recipe.model_copy(update={"validate_every": 2, "epochs": 4}), tmp_path)
    assert [row["epoch"] for row in result.history] == [0, 1, 2, 3]
    assert ["val_iou" in row for row in result.history] == [False, True, False, True]
    validated = {int(row["epoch"]): row["val_iou"] for row in result.history if "val_iou" in row}
    assert result.best_iou == max(validated.values())
    assert validated[result.best_epoch] == result.best_iou
    best = load_checkpoint(tmp_path / "best.ckpt")["state_dict"]
    assert_same(weights(result), {k.removeprefix("network."): v for k, v in best.items()})


SCRIPT = """
import sys, time
from pathlib import Path
import pytorch_lightning as pl
from irstd.config import FitParams, ISPANetRecipe
from irstd.data.store import PreparedData
from irstd.training import fit

class Slow(pl.Callback):
    def on_train_batch_end(self, trainer, *_):
        Path(sys.argv[3]).write_text(str(trainer.global_step))
        time.sleep(0.3)

recipe = ISPANetRecipe.model_validate_json(sys.stdin.read())
fit(PreparedData(Path(sys.argv[1])), "ispanet", recipe, 7,
    FitParams(method="native", height=64, width=64), Path(sys.argv[2]),
    callbacks=[Slow()], fingerprint="f", progress=False)
"""


@pytest.mark.slow
def test_killed_in_mid_epoch_it_reaches_the_same_weights(small_data, recipe, tmp_path):
    recipe = recipe.model_copy(update={"epochs": 4, "batch_size": 2})  # three steps an epoch
    undisturbed = run(small_data, recipe, tmp_path / "undisturbed", fingerprint="f")
    marker, folder = tmp_path / "step", tmp_path / "killed"
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), small_data.folder, folder, marker],
        stdin=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())},
    )
    process.stdin.write(recipe.model_dump_json())
    process.stdin.close()
    deadline = time.monotonic() + 120
    while not marker.exists() or int(marker.read_text() or 0) < 8:  # in the third epoch
        assert time.monotonic() < deadline, "training did not reach step 8"
        assert process.poll() is None, "training ended before it could be killed"
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    resumed = run(small_data, recipe, folder, fingerprint="f")
    assert resumed.resumed
    assert len(resumed.history) == 4
    assert_same(weights(undisturbed), weights(resumed))
    assert [r["val_iou"] for r in undisturbed.history] == [r["val_iou"] for r in resumed.history]


def test_a_finished_training_is_not_repeated(small_data, recipe, tmp_path):
    first = run(small_data, recipe, tmp_path, fingerprint="a")
    written = (tmp_path / "best.ckpt").stat().st_mtime_ns
    again = run(small_data, recipe, tmp_path, fingerprint="a")
    assert again.resumed
    assert (tmp_path / "best.ckpt").stat().st_mtime_ns == written
    assert_same(weights(first), weights(again))
    assert first.history == again.history


def test_another_fingerprint_starts_anew_and_says_so(small_data, recipe, tmp_path, caplog):
    caplog.set_level("INFO", logger="irstd")
    run(small_data, recipe, tmp_path, fingerprint="a")
    changed = recipe.model_copy(update={"epochs": 2})
    other = run(small_data, changed, tmp_path, fingerprint="b")
    assert not other.resumed
    assert len(other.history) == 2
    assert "another fingerprint; training starts anew" in caplog.text
    assert run(small_data, changed, tmp_path, fingerprint="b").resumed
    assert "continuing after epoch 2" in caplog.text


def test_a_moved_folder_starts_anew(small_data, recipe, tmp_path):
    short = recipe.model_copy(update={"epochs": 1})
    run(small_data, short, tmp_path / "here", fingerprint="a")
    (tmp_path / "here").rename(tmp_path / "there")
    assert not run(small_data, short, tmp_path / "there", fingerprint="a").resumed


def test_checkpoints_load_without_executing_anything(small_data, recipe, tmp_path):
    run(small_data, recipe.model_copy(update={"epochs": 1}), tmp_path, fingerprint="a")
    for path in sorted(tmp_path.glob("*.ckpt")):
        content = torch.load(path, weights_only=True)
        assert content["origin"]["fingerprint"] == "a"
    assert not list(Path(tmp_path).glob("*.tmp"))


def test_fill_trains_on_one_size(small_data, recipe):
    fill = FitParams(method="fill", height=64, width=96)
    short = recipe.model_copy(update={"epochs": 1})
    result = fit(small_data, "ispanet", short, 7, fill, None, progress=False)
    assert result.preprocessing.fill == (64, 96)
    assert 0 <= result.best_iou <= 1


def test_early_stop_ends_when_nothing_improves(small_data, recipe, tmp_path):
    changes = {
        "early_stop_patience": 1,
        "epochs": 9,
        "optimizer": recipe.optimizer.model_copy(update={"lr": 1e-12}),
        "schedule": recipe.schedule.model_copy(update={"min_lr": 0.0}),
    }
    patient = recipe.model_copy(update=changes)
    stopped = run(small_data, patient, tmp_path)
    assert len(stopped.history) < 9
    again = run(small_data, patient, tmp_path)
    assert again.resumed
    assert again.history == stopped.history, "it had ended, and is not continued"
    assert_same(weights(stopped), weights(again))


def test_float16_without_a_gpu_is_refused(small_data, recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    half = recipe.model_copy(update={"precision": "16-mixed"})
    with pytest.raises(ModelError, match=r"16-mixed needs a GPU.*precision to auto"):
        run(small_data, half, tmp_path)


def test_a_loss_that_explodes_is_an_error(small_data, recipe, tmp_path):
    wild = recipe.optimizer.model_copy(update={"lr": 1e30})
    with pytest.raises(ModelError, match=r"diverged in epoch 0.*lower optimizer\.lr"):
        run(small_data, recipe.model_copy(update={"optimizer": wild}), tmp_path)


def test_an_empty_part_is_an_error(small_data, recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(type(small_data), "rows", lambda self, split: [])
    with pytest.raises(DataError, match="no image in the train part"):
        run(small_data, recipe, tmp_path)

"""Frozen batch norms, the rate that is recorded, and every recipe trained for a moment."""

import math
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from irstd.config import CropParams, FitParams, PolyParams, RecipeParams, load_params
from irstd.losses import Criterion
from irstd.models import build_network, network_spec
from irstd.training import fit
from irstd.training.module import freeze_norms
from irstd.training.start import start_network

NATIVE = FitParams(method="native", height=64, width=64)
RECIPES = load_params(Path(__file__).parents[2] / "profiles" / "demo.yaml").train.recipes


def small(name: str, side: int = 32, **changes: Any) -> RecipeParams:
    common = {"crop": CropParams(height=side, width=side), "epochs": 4, "batch_size": 2}
    poly = PolyParams(name="poly", power=0.9, min_lr=0.0, per="epoch")
    return RECIPES[name].model_copy(
        update=common | {"schedule": poly, "validate_every": 1} | changes
    )


class Norms(pl.Callback):
    """Remembers the statistics of the first batch norm, and which are in training mode."""

    def __init__(self) -> None:
        self.means: list[Tensor] = []
        self.training: list[set[bool]] = []

    def on_train_batch_end(self, trainer: Any, module: Any, *_: Any) -> None:
        norms = [m for m in module.network.modules() if isinstance(m, nn.BatchNorm2d)]
        self.training.append({norm.training for norm in norms})
        self.means.append(norms[0].running_mean.clone())


class Die(pl.Callback):
    """Ends the training in an error at the start of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.current_epoch == self.epoch:
            raise RuntimeError("killed")


def run(data, name, recipe, folder=None, **options):
    return fit(data, name, recipe, 7, NATIVE, folder, progress=False, **options)


def test_batch_norms_keep_their_statistics_after_the_given_epochs(small_data):
    norms = Norms()
    run(small_data, "acm", small("acm", freeze_norm_after=2), callbacks=[norms])
    assert norms.training == [{True}] * 6 + [{False}] * 6  # three steps an epoch
    assert not torch.equal(norms.means[4], norms.means[5])
    assert all(torch.equal(norms.means[5], mean) for mean in norms.means[6:])


@pytest.mark.parametrize("per", ["epoch", "iteration"])
def test_frozen_norms_and_schedules_survive_a_kill(small_data, tmp_path, per):
    poly = PolyParams(name="poly", power=0.9, min_lr=0.0, per=per)
    recipe = small("acm", freeze_norm_after=2, schedule=poly)
    undisturbed = run(small_data, "acm", recipe, tmp_path / "one", fingerprint="f")
    for epoch in (1, 3):  # before the norms freeze, and afterwards
        with pytest.raises(RuntimeError, match="killed"):
            run(
                small_data, "acm", recipe, tmp_path / "two", fingerprint="f", callbacks=[Die(epoch)]
            )
    norms = Norms()
    resumed = run(small_data, "acm", recipe, tmp_path / "two", fingerprint="f", callbacks=[norms])
    assert resumed.resumed
    assert norms.training == [{False}] * 3
    assert resumed.history == undisturbed.history
    expected = undisturbed.network.state_dict()
    for name, value in resumed.network.state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_the_history_has_the_rate_of_each_epoch(small_data):
    history = run(small_data, "acm", small("acm")).history
    lr = RECIPES["acm"].optimizer.lr
    expected = [lr * (1 - epoch / 5) ** 0.9 for epoch in range(4)]
    assert [row["lr"] for row in history] == pytest.approx(expected)


SIDES = {
    "pqgnet": 256,
    "mpcnet": 32,
    "lpnet": 40,
    "sgmp_unet": 32,
    "alcnet": 32,
    "dnanet": 32,
    "agpcnet": 80,
    "rdian": 32,
    "mtunet": 32,
}


@pytest.mark.parametrize("name", ["ispanet", "acm", *SIDES])
def test_frozen_norms_keep_their_statistics(name):
    side = SIDES.get(name, 32)
    network = build_network(name, **small(name, side).network.model_dump()).train()
    freeze_norms(network)
    before = {key: value.clone() for key, value in network.named_buffers()}
    clip = (network.frames,) if network.frames > 1 else ()
    with torch.no_grad():
        network.outputs(torch.rand(1, *clip, network.in_channels, side, side))
    assert any("running_mean" in key for key in before)
    for key, value in network.named_buffers():
        assert torch.equal(value, before[key]), key


@pytest.mark.slow
@pytest.mark.parametrize("name", SIDES)
def test_every_recipe_trains(small_data, name):
    epochs = 2 if name == "mpcnet" else 1  # its first epoch has the rate 0
    recipe = small(name, SIDES[name], epochs=epochs, schedule=RECIPES[name].schedule)
    torch.manual_seed(7)
    spec = network_spec(name)
    before = start_network(spec, recipe, Path()).state_dict()
    result = run(small_data, name, recipe)
    trained = dict(result.network.named_parameters())
    changed = [key for key, value in trained.items() if not torch.equal(value, before[key])]
    assert len(changed) > 0.5 * len(trained)
    assert all(math.isfinite(row["train_loss"]) for row in result.history)
    assert len(result.history) == epochs
    assert result.preprocessing.frames == spec.frames
    assert not result.network.training


@pytest.mark.slow
def test_lpnet_trains_with_a_target_for_its_attention(small_data):
    base = small("lpnet", 40, epochs=1)
    assert base.loss.sigma is not None
    plain = base.model_copy(update={"loss": base.loss.model_copy(update={"sigma": None})})
    losses = [run(small_data, "lpnet", r).history[0]["train_loss"] for r in (base, plain)]
    assert losses[0] > losses[1]


def test_the_loss_hears_of_each_epoch_also_after_a_kill(small_data, tmp_path, monkeypatch):
    heard = []
    monkeypatch.setattr(Criterion, "start_epoch", lambda self, epoch: heard.append(epoch))
    recipe = small("acm", epochs=3)
    with pytest.raises(RuntimeError, match="killed"):
        run(small_data, "acm", recipe, tmp_path, fingerprint="f", callbacks=[Die(2)])
    run(small_data, "acm", recipe, tmp_path, fingerprint="f")
    assert heard == [0, 1, 2]

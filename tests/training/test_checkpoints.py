"""Checkpoints are replaced whole, or not at all."""

import threading

import pytest
import torch

from irstd.training.checkpoints import AtomicIO, load_checkpoint


def test_a_failed_save_leaves_the_checkpoint_before(tmp_path):
    path = tmp_path / "folder" / "last.ckpt"
    AtomicIO().save_checkpoint({"epoch": 1, "weights": torch.ones(3)}, path)
    with pytest.raises(TypeError, match="pickle"):
        AtomicIO().save_checkpoint({"epoch": 2, "broken": threading.Lock()}, path)
    kept = load_checkpoint(path)
    assert kept["epoch"] == 1
    assert torch.equal(kept["weights"], torch.ones(3))
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]


def test_loading_executes_nothing(tmp_path):
    class Payload:
        def __reduce__(self):
            return (tmp_path.joinpath("executed").touch, ())

    torch.save({"weights": Payload()}, tmp_path / "evil.ckpt")
    with pytest.raises(Exception, match="Weights only load failed"):
        load_checkpoint(tmp_path / "evil.ckpt")
    assert not (tmp_path / "executed").exists()

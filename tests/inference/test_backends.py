import numpy as np
import pytest
import torch

from irstd.errors import ModelError
from irstd.inference.backends import OnnxBackend, TorchBackend, processor_name, torch_device
from tests.tiny_network import tiny_network, tiny_onnx


def batch(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape, np.float32)


@pytest.mark.parametrize("shape", [(1, 1, 8, 8), (3, 1, 16, 40)])
def test_both_back_ends_give_the_same_logits(shape: tuple[int, ...]) -> None:
    image = batch(*shape)
    first, second = TorchBackend(tiny_network(), "cpu")(image), OnnxBackend(tiny_onnx(), "x")(image)
    assert first.shape == shape
    assert first.dtype == second.dtype == np.float32
    np.testing.assert_allclose(first, second, atol=1e-5)
    np.testing.assert_allclose(first, 20 * image - 10, atol=1e-5)


def test_torch_back_end_leaves_training_mode() -> None:
    network = torch.nn.Sequential(torch.nn.Dropout(0.9)).train()
    image = batch(1, 1, 8, 8)
    np.testing.assert_array_equal(TorchBackend(network, "cpu")(image), image)


def test_an_input_that_onnx_runtime_cannot_take_is_an_error() -> None:
    with pytest.raises(ModelError, match=r"tiny\.onnx: ONNX Runtime refused .*\(1, 3, 8, 8\)"):
        OnnxBackend(tiny_onnx(), "tiny.onnx")(batch(1, 3, 8, 8))


def test_a_model_that_onnx_runtime_cannot_load_is_an_error() -> None:
    with pytest.raises(ModelError, match=r"broken\.onnx: ONNX Runtime cannot load the model"):
        OnnxBackend(tiny_onnx()[:-100], "broken.onnx")


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "", "cuda-1", "cpu:0"])
def test_unknown_devices_are_refused(device: str) -> None:
    with pytest.raises(ModelError, match=r"unknown device .*choose auto, cpu, cuda or cuda:N"):
        torch_device(device)


def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(ModelError, match=r"device 'cuda:99' asked for, but torch sees \d+ GPUs"):
        torch_device("cuda:99")


def test_auto_takes_the_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for is_there, kind in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda is_there=is_there: is_there)
        assert torch_device("auto").type == kind


def test_devices_are_named() -> None:
    assert processor_name()
    assert processor_name() in OnnxBackend(tiny_onnx(), "x").device_name
    assert "ONNX Runtime" in OnnxBackend(tiny_onnx(), "x").device_name

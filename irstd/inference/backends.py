"""What runs a network: torch or ONNX Runtime, behind one call from a batch to its logits."""

import platform
import re
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float32
from torch import nn

from irstd.errors import ModelError

INPUT_NAME, OUTPUT_NAME = "image", "logits"

Batch = Float32[np.ndarray, "n *clip c h w"]


@runtime_checkable
class Backend(Protocol):
    """Runs a network.

    Attributes:
        device_name: the device in words, for reports.
    """

    device_name: str

    def __call__(
        self, batch: Float32[np.ndarray, "n *clip c h w"]
    ) -> Float32[np.ndarray, "n 1 h w"]:
        """Logits (N, 1, H, W) of a batch (N, C, H, W), or clips (N, T, C, H, W), of legal size."""
        ...


class TorchBackend:
    """Runs a torch network in float32.

    Args:
        network: the network; it is moved to the device and put into evaluation mode.
        device: `auto` (the GPU where there is one), `cpu`, `cuda` or `cuda:N`.

    Raises:
        ModelError: unknown device, or no such GPU.
    """

    def __init__(self, network: nn.Module, device: str = "auto") -> None:
        """Move the network to its device."""
        self._device = torch_device(device)
        self._network = network.to(self._device).eval()
        self.device_name = (
            torch.cuda.get_device_name(self._device)
            if self._device.type == "cuda"
            else processor_name()
        )

    def __call__(
        self, batch: Float32[np.ndarray, "n *clip c h w"]
    ) -> Float32[np.ndarray, "n 1 h w"]:
        """Logits of a batch.

        Raises:
            ModelError: the GPU's memory does not hold the batch, or the network refuses its size.
        """
        try:
            with torch.inference_mode():
                logits = self._network(torch.from_numpy(batch).to(self._device))
        except torch.OutOfMemoryError as error:
            raise ModelError(
                f"{self.device_name}: not enough memory for an input of {batch.shape}; "
                "use the device cpu or a smaller image"
            ) from error
        values: Float32[np.ndarray, "n 1 h w"] = logits.float().cpu().numpy()
        return values


class OnnxBackend:
    """Runs an ONNX model with ONNX Runtime, on the GPU where its CUDA provider is installed.

    Args:
        model: serialised model, without external data.
        origin: the file, for messages.

    Raises:
        ModelError: ONNX Runtime cannot load the model.
    """

    def __init__(self, model: bytes, origin: str) -> None:
        """Start a session with as many threads as torch would use."""
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as runtime

        self._origin = origin
        self._errors: tuple[type[Exception], ...] = (
            runtime.Fail,
            runtime.InvalidArgument,
            runtime.InvalidGraph,
            runtime.InvalidProtobuf,
            runtime.NotImplemented,
            runtime.RuntimeException,
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.enable_mem_pattern = False  # image sizes differ from call to call
        options.log_severity_level = 3
        usable = onnxruntime.get_available_providers()
        providers = [
            name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in usable
        ]
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=providers)
        except self._errors as error:
            raise ModelError(f"{origin}: ONNX Runtime cannot load the model: {error}") from error
        on_gpu = self._session.get_providers()[0] == "CUDAExecutionProvider"
        self.device_name = (
            f"{'CUDA' if on_gpu else processor_name()} (ONNX Runtime {onnxruntime.__version__})"
        )

    def __call__(
        self, batch: Float32[np.ndarray, "n *clip c h w"]
    ) -> Float32[np.ndarray, "n 1 h w"]:
        """Logits of a batch.

        Raises:
            ModelError: the model does not take an input of this size, or memory does not hold it.
        """
        try:
            values: Float32[np.ndarray, "n 1 h w"]
            (values,) = self._session.run([OUTPUT_NAME], {INPUT_NAME: batch})
        except self._errors as error:
            raise ModelError(
                f"{self._origin}: ONNX Runtime refused an input of {batch.shape}: {error}"
            ) from error
        return values


def torch_device(device: str) -> torch.device:
    """The device a word stands for.

    Raises:
        ModelError: unknown word, or no such GPU.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if re.fullmatch(r"cpu|cuda(:\d+)?", device) is None:
        raise ModelError(f"unknown device {device!r}; choose auto, cpu, cuda or cuda:N")
    chosen = torch.device(device)
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise ModelError(
            f"device {device!r} asked for, but torch sees {torch.cuda.device_count()} GPUs; "
            "choose auto or cpu, or install a torch build for the GPU"
        )
    return chosen


def processor_name() -> str:
    """The processor in words, as far as the system tells it."""
    table = Path("/proc/cpuinfo")
    if table.is_file():
        for line in table.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()

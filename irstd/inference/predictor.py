"""One path from an image to detections, for every user of a network and for both back ends."""

from pathlib import Path

import numpy as np
from jaxtyping import Float32
from torch import nn

from irstd.inference.backends import Backend, OnnxBackend, TorchBackend
from irstd.inference.onnx_file import read_onnx
from irstd.inference.postprocess import predict_from_logits
from irstd.inference.weights import ModelFacts, load_model
from irstd.types import Prediction


class Predictor:
    """Pre-processing, network and post-processing of one model.

    Args:
        backend: what runs the network.
        facts: the model's facts.
    """

    def __init__(self, backend: Backend, facts: ModelFacts) -> None:
        """Join a back end with the facts of its model; files are opened by the `from_` methods."""
        self._backend = backend
        self.facts = facts

    @classmethod
    def from_weights(cls, path: Path, device: str = "auto") -> "Predictor":
        """A predictor that runs a weight file with torch.

        Args:
            path: file written by `irstd.inference.weights.save_model`.
            device: `auto` (the GPU where there is one), `cpu`, `cuda` or `cuda:N`.

        Raises:
            ModelError: the file cannot be read, or there is no such device.
        """
        network, facts = load_model(path)
        return cls.from_network(network, facts, device)

    @classmethod
    def from_network(
        cls, network: nn.Module, facts: ModelFacts, device: str = "auto"
    ) -> "Predictor":
        """A predictor that runs a network already in memory; see `TorchBackend`."""
        return cls(TorchBackend(network, device), facts)

    @classmethod
    def from_onnx(cls, path: Path) -> "Predictor":
        """A predictor that runs an ONNX file with ONNX Runtime.

        Raises:
            ModelError: the file cannot be read, is not self-contained or lacks our facts.
        """
        file = read_onnx(path)
        return cls(OnnxBackend(file.content, str(path)), file.facts)

    @property
    def device_name(self) -> str:
        """The device in words."""
        return self._backend.device_name

    def logits(self, image: np.ndarray) -> Float32[np.ndarray, "h w"]:
        """Logits on the grid of the image.

        Args:
            image: (H, W), uint8, uint16, or floating point in [0, 1]; any size from 1 x 1.

        Raises:
            DataError: not such an image.
            ModelError: the back end cannot run an image of this size.
        """
        preprocessing = self.facts.preprocessing
        batch, placement = preprocessing.apply(image)
        return preprocessing.restore(self._backend(batch)[0, 0], placement)

    def predict(self, image: np.ndarray, threshold: float | None = None) -> Prediction:
        """Probability, mask and detections on the grid of the image.

        Args:
            image: as for `logits`.
            threshold: probability above which a pixel is a target; None takes the model's own.

        Raises:
            DataError, ModelError: as for `logits`; the threshold does not lie in (0, 1).
        """
        chosen = self.facts.threshold if threshold is None else threshold
        return predict_from_logits(self.logits(image), chosen)

"""One path from an image to detections, for every user of a network and for both back ends."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from scipy.special import logit
from torch import nn

from irstd.errors import ModelError
from irstd.inference.augmented import multi_scale_flip
from irstd.inference.backends import Backend, OnnxBackend, TorchBackend
from irstd.inference.onnx_file import read_onnx
from irstd.inference.postprocess import predict_from_logits, prediction_of, probability_of
from irstd.inference.preprocess import CLAMP
from irstd.inference.weights import ModelFacts, load_model
from irstd.models.registry import network_spec
from irstd.types import Border, Prediction


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

    @classmethod
    def from_file(cls, path: Path, device: str = "auto") -> "Predictor":
        """A predictor for an ONNX file (`.onnx`) or a weight file.

        Raises:
            ModelError: as for `from_onnx` and `from_weights`.
        """
        return cls.from_onnx(path) if path.suffix == ".onnx" else cls.from_weights(path, device)

    @property
    def device_name(self) -> str:
        """The device in words."""
        return self._backend.device_name

    @property
    def clip(self) -> tuple[int, int, Border]:
        """Frames of the network's clips (1: images), place of the segmented one, and border."""
        facts = self.facts.preprocessing
        return facts.frames, facts.target_frame, facts.border

    def logits(self, image: np.ndarray) -> Float32[np.ndarray, "h w"]:
        """Logits on the grid of the image.

        Args:
            image: (H, W), uint8, uint16, or floating point in [0, 1]; any size from 1 x 1. For a
                network of clips (T, H, W), or one image that is repeated.

        Raises:
            DataError: not such an image.
            ModelError: the back end cannot run an image of this size.
        """
        preprocessing = self.facts.preprocessing
        batch, placement = preprocessing.apply(image)
        maps = [self._backend(window[None])[0, 0] for window in batch]
        return preprocessing.restore(np.stack(maps), placement)

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

    def augmented(self) -> Callable[[np.ndarray, float | None], Prediction]:
        """`predict` with the probability averaged over scales and mirror images.

        See `irstd.inference.augmented.multi_scale_flip`. Where images are resized for the network,
        the map of each scale goes to the grid of the image at once, as SGMP-UNet was published.

        Raises:
            ModelError: the model takes one size only; from what is returned also where an image is
                tiled.
        """
        spec, sizes = network_spec(self.facts.network), self.facts.preprocessing.sizes
        if sizes.minimum == sizes.maximum:
            raise ModelError(
                f"{spec.name} takes {sizes} only, and averaging over scales needs several sizes; "
                "predict without --tta"
            )
        if isinstance(self._backend, OnnxBackend) and "height" not in spec.dynamic_axes:
            raise ModelError(
                f"{spec.name}: its ONNX form takes one size, and averaging over scales needs "
                "several; give the weights (.safetensors) instead"
            )
        return self._predict_augmented

    def _predict_augmented(self, image: np.ndarray, threshold: float | None = None) -> Prediction:
        preprocessing = self.facts.preprocessing
        batch, placement = preprocessing.apply(image)
        if len(placement.windows) > 1:
            raise ModelError(
                f"{self.facts.network}: an image of {placement.image[0]} x {placement.image[1]} is "
                "tiled, and tiles are not averaged over scales; predict it without --tta"
            )
        resized = preprocessing.fit in ("resize", "stretch") and preprocessing.fill is None
        probability = multi_scale_flip(
            lambda scaled: torch.from_numpy(self._backend(scaled.numpy())),
            torch.from_numpy(batch),
            preprocessing.sizes,
            placement.image if resized else placement.network,
            interpolate=preprocessing.interpolate,
        ).numpy()[0, 0]
        if not resized:
            clamped = probability.clip(CLAMP, 1 - CLAMP)
            probability = probability_of(preprocessing.restore(logit(clamped)[None], placement))
        return prediction_of(probability, self.facts.threshold if threshold is None else threshold)

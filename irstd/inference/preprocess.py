"""From an image as read to the input of a network, and from the network's map back to the image.

Used by training's validation, evaluation, export and prediction, so that a network sees the same
pixels everywhere. Order: grey values to [0, 1] by the range of the dtype; `fill` (zero-pad to an
aspect ratio, then resize), where the parameters ask for one size; (image - mean) / std; then the
network's own fit to a legal size (zeros at the bottom and right, or the nearest legal size).
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32

from irstd.config import FitParams
from irstd.data.fitting import fill_image, fill_shape
from irstd.data.pixels import to_unit
from irstd.errors import DataError, ModelError
from irstd.inference.facts import STRICT, facts_from_json, facts_to_json
from irstd.models.spec import Fit, NetworkSpec

Size = tuple[int, int]


@dataclass(frozen=True)
class Placement:
    """Where an image stands in the network's input. Sizes are (height, width) in pixels.

    Attributes:
        image: size of the image as given.
        filled: size after `fill`; the image's own size where nothing is filled.
        network: legal size of the network's input.
    """

    image: Size
    filled: Size
    network: Size


@dataclass(frozen=True)
class Preprocessing:
    """Facts that turn an image into a network's input; stored in every weight and ONNX file.

    Attributes:
        in_channels: channels of the input; the grey image is repeated in each.
        mean: subtracted from the image in [0, 1].
        std: the difference is divided by this.
        size_multiple: legal heights and widths are multiples of this, in pixels.
        fit: `pad` with zeros at the bottom and right, or `resize` to the nearest legal size.
        fill: (height, width) that every image is filled to first; None keeps the image's size.

    Raises:
        ModelError: a value outside these ranges.
    """

    __pydantic_config__ = STRICT

    in_channels: int
    mean: float
    std: float
    size_multiple: int
    fit: Fit
    fill: Size | None

    def __post_init__(self) -> None:
        faults = [
            (self.in_channels < 1, f"in_channels must be at least 1, got {self.in_channels}"),
            (not np.isfinite(self.mean), f"mean must be finite, got {self.mean}"),
            (not 0 < self.std < np.inf, f"std must be positive and finite, got {self.std}"),
            (self.size_multiple < 1, f"size_multiple must be at least 1, got {self.size_multiple}"),
            (self.fit not in ("pad", "resize"), f"fit must be pad or resize, got {self.fit!r}"),
            (
                self.fill is not None and min(self.fill) < 1,
                f"fill must be a positive (height, width), got {self.fill}",
            ),
        ]
        wrong = [message for is_wrong, message in faults if is_wrong]
        if wrong:
            raise ModelError("wrong pre-processing facts: " + "; ".join(wrong))

    @classmethod
    def of(cls, spec: NetworkSpec, in_channels: int, fit: FitParams) -> "Preprocessing":
        """Facts of a network that is trained and used under these parameters.

        Args:
            spec: facts of the network.
            in_channels: channels of the network's input.
            fit: the group `data.fit` of the parameters.
        """
        fill = (fit.height, fit.width) if fit.method == "fill" else None
        return cls(in_channels, spec.mean, spec.std, spec.size_multiple, spec.fit, fill)

    def apply(self, image: np.ndarray) -> tuple[Float32[np.ndarray, "1 c h w"], Placement]:
        """Make the network's input.

        Args:
            image: (H, W), uint8, uint16, or floating point already in [0, 1]; any size from 1 x 1.

        Returns:
            The input (1, C, h, w) and the image's place in it.

        Raises:
            DataError: not a two-dimensional, non-empty image, or a dtype or range without a rule.
        """
        if image.ndim != 2 or image.size == 0:
            raise DataError(
                f"expected a grey image (height, width) with pixels, got shape {image.shape}"
            )
        unit = to_unit(image)
        if self.fill is not None:
            unit = fill_image(unit, self.fill)
        filled = _size(unit)
        fitted = self._fit((unit - np.float32(self.mean)) / np.float32(self.std))
        batch = np.repeat(fitted[None, None], self.in_channels, axis=1)
        placement = Placement(_size(image), filled, _size(fitted))
        return np.ascontiguousarray(batch, np.float32), placement

    def restore(self, values: np.ndarray, placement: Placement) -> Float32[np.ndarray, "h w"]:
        """Bring a map of the network (logits, before any sigmoid) to the grid of the image.

        Args:
            values: (h, w), the network's map of `placement.network` size.
            placement: what `apply` returned for the image.

        Returns:
            (H, W) of `placement.image` size, cropped and resized bilinearly.

        Raises:
            ModelError: the map has another size than the input had.
        """
        if values.shape != placement.network:
            raise ModelError(
                f"expected a map of {placement.network[0]} x {placement.network[1]} like the "
                f"network's input, got shape {values.shape}; a network returns logits at full size"
            )
        restored = np.asarray(values, np.float32)
        if self.fit == "resize":
            restored = _resize(restored, placement.filled)
        restored = restored[: placement.filled[0], : placement.filled[1]]
        if self.fill is not None:
            restored = _resize(restored, fill_shape(*placement.image, self.fill))
        return np.ascontiguousarray(restored[: placement.image[0], : placement.image[1]])

    def legal_size(self, size: Size) -> Size:
        """Size of the network's input for an image of `size` after `fill`."""
        height, width = (self._legal(side) for side in size)
        return height, width

    def to_json(self) -> str:
        """The facts as text."""
        return facts_to_json(self)

    @classmethod
    def from_json(cls, text: str) -> "Preprocessing":
        """The facts from `to_json`.

        Raises:
            ModelError: a fact is missing, unknown, of another type or out of range.
        """
        return facts_from_json(cls, text, "pre-processing facts")

    def _legal(self, side: int) -> int:
        if self.fit == "pad":
            return side + (-side) % self.size_multiple
        return max(1, round(side / self.size_multiple)) * self.size_multiple

    def _fit(self, image: np.ndarray) -> np.ndarray:
        height, width = self.legal_size(_size(image))
        if self.fit == "resize":
            return _resize(image, (height, width))
        return np.pad(image, ((0, height - image.shape[0]), (0, width - image.shape[1])))


def _size(image: np.ndarray) -> Size:
    height, width = image.shape
    return height, width


def _resize(values: np.ndarray, size: Size) -> np.ndarray:
    if values.shape == size:
        return values
    return cv2.resize(values, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)

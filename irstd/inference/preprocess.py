"""From an image as read to the input of a network, and from the network's map back to the image.

Used by training's validation, evaluation, export and prediction, so that a network sees the same
pixels everywhere. Order: grey values to [0, 1] by the range of the dtype; `fill` (zero-pad to an
aspect ratio, then resize), where the parameters ask for one size; (image - mean) / std; then the
network's own fit to a legal size (`irstd.models.spec.NetworkSpec.fit`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float32
from scipy.special import expit, logit
from torch import Tensor

from irstd.config import FitParams
from irstd.data.fitting import fill_image, fill_shape, resize_bilinear
from irstd.data.pixels import to_unit
from irstd.errors import DataError, ModelError
from irstd.inference.facts import STRICT, facts_from_json, facts_to_json
from irstd.inference.tiling import blend, cut, window_starts
from irstd.models.spec import Fit, NetworkSpec, Size, SizeRule
from irstd.types import Border

CLAMP = np.float32(1e-7)
"""Probabilities whose logit is asked for lie at least this far from 0 and 1."""


@dataclass(frozen=True)
class Placement:
    """Where an image stands in the network's input. Sizes are (height, width) in pixels.

    Attributes:
        image: size of the image as given.
        filled: size after `fill`; the image's own size where nothing is filled.
        network: legal size of the network's input.
        windows: upper left corners of the windows; a single one where nothing is tiled.
    """

    image: Size
    filled: Size
    network: Size
    windows: tuple[Size, ...] = ((0, 0),)


@dataclass(frozen=True)
class Preprocessing:
    """Facts that turn an image into a network's input; stored in every weight and ONNX file.

    Attributes:
        in_channels: channels of the input; the grey image is repeated in each.
        mean: subtracted from the image in [0, 1]; one value, or one per channel.
        std: the difference is divided by this; one value, or one per channel.
        sizes: legal heights and widths.
        fit: how a legal size is reached; see `NetworkSpec.fit`.
        fit_size: (height, width) that `fit` uses; None for `pad`.
        fill: (height, width) that every image is filled to first; None keeps the image's size.
        frames: frames of a clip; 1 for single images.
        target_frame: place in the clip, from 0, of the frame that is segmented.
        border: what stands for the frames of a clip that lie outside the sequence.
        interpolate: what is resized and blended on the way back: `logits`, or `probability` where
            the logits are clamped (`NetworkSpec.compare`).

    Raises:
        ModelError: a value outside these ranges.
    """

    __pydantic_config__ = STRICT

    in_channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    sizes: SizeRule
    fit: Fit
    fit_size: Size | None
    fill: Size | None
    frames: int = 1
    target_frame: int = 0
    interpolate: Literal["logits", "probability"] = "logits"
    border: Border = "wrap"

    def __post_init__(self) -> None:
        wrong = [message for is_wrong, message in _faults(self) if is_wrong]
        if wrong:
            raise ModelError("wrong pre-processing facts: " + "; ".join(wrong))

    @classmethod
    def of(
        cls,
        spec: NetworkSpec,
        in_channels: int,
        fill: FitParams | None = None,
        mean: tuple[float, ...] | None = None,
        std: tuple[float, ...] | None = None,
        fit_size: Size | None = None,
    ) -> "Preprocessing":
        """Facts of a network that is trained and used under these parameters.

        Args:
            spec: facts of the network; they hold for what is not given.
            in_channels: channels of the network's input.
            fill: the group `data.fit` of the parameters; None: images keep their size.
            mean: per channel, of images in [0, 1].
            std: per channel, of images in [0, 1].
            fit_size: (height, width) that a network of the fits `stretch` and `resize` was
                trained at; the others ignore it.
        """
        filled = (fill.height, fill.width) if fill is not None and fill.method == "fill" else None
        trained = fit_size if spec.fit in ("stretch", "resize") else None
        return cls(
            in_channels,
            spec.mean if mean is None else mean,
            spec.std if std is None else std,
            spec.sizes,
            spec.fit,
            trained or spec.fit_size,
            filled,
            spec.frames,
            spec.target_frame,
            spec.compare,
            spec.border,
        )

    def apply(self, image: np.ndarray) -> tuple[Float32[np.ndarray, "..."], Placement]:
        """Make the network's input.

        Args:
            image: (H, W), or (T, H, W) for a network of clips, where a single image is repeated;
                uint8, uint16, or floating point already in [0, 1]; any size from 1 x 1.

        Returns:
            The input (n, C, h, w) of n windows, or (n, T, C, h, w), and the image's place in it.

        Raises:
            DataError: not such an image, or a dtype or range without a rule.
        """
        stack = self._frames(image)
        unit = np.stack([self._filled(frame) for frame in stack])
        filled = _size(unit)
        mean, std = (
            np.asarray(values, np.float32).reshape(-1, 1, 1) for values in (self.mean, self.std)
        )
        channels = (unit[:, None] - mean) / std  # (T, C or 1, H, W)
        channels = np.repeat(channels, self.in_channels // channels.shape[1], axis=1)
        windows, starts = self._fit(channels)
        placement = Placement(_size(stack), filled, _size(windows), starts)
        batch = windows if self.frames > 1 else windows[:, 0]
        return np.ascontiguousarray(batch, np.float32), placement

    def restore(self, values: np.ndarray, placement: Placement) -> Float32[np.ndarray, "h w"]:
        """Bring the logits of the network to the grid of the image.

        Args:
            values: (n, h, w), one map of `placement.network` size for each window.
            placement: what `apply` returned for the image.

        Returns:
            Logits (H, W) of `placement.image` size, blended, cropped and resized bilinearly; where
            the probability is interpolated, its logit, clamped as the network's own is.

        Raises:
            ModelError: other maps than the input had windows.
        """
        expected = (len(placement.windows), *placement.network)
        if values.shape != expected:
            raise ModelError(
                f"expected maps of shape {expected} like the network's input, got {values.shape}; "
                "a network returns logits at full size"
            )
        if self.interpolate == "probability":
            return logit(self._place(expit(values), placement).clip(CLAMP, 1 - CLAMP))
        return self._place(values, placement)

    def _place(self, values: np.ndarray, placement: Placement) -> Float32[np.ndarray, "h w"]:
        restored = np.asarray(values, np.float32)
        if len(placement.windows) > 1:
            restored = blend(restored, placement.windows, placement.filled)
        else:
            restored = restored[0]
        if self.fit in ("resize", "stretch"):
            restored = resize_bilinear(restored, placement.filled)
        restored = restored[: placement.filled[0], : placement.filled[1]]
        if self.fill is not None:
            restored = resize_bilinear(restored, fill_shape(*placement.image, self.fill))
        return np.ascontiguousarray(restored[: placement.image[0], : placement.image[1]])

    def normalise(self, images: Tensor) -> Tensor:
        """Training batches as the network takes them.

        Args:
            images: (N, 1, H, W) or (N, T, 1, H, W) in [0, 1].

        Returns:
            The same normalised, with `in_channels` channels.
        """
        mean, std = (
            torch.tensor(values, dtype=images.dtype, device=images.device).reshape(-1, 1, 1)
            for values in (self.mean, self.std)
        )
        normal = (images - mean) / std
        return normal.expand(*normal.shape[:-3], self.in_channels, *normal.shape[-2:])

    def legal_size(self, size: Size) -> Size:
        """Size of the network's input for an image of `size` after `fill`.

        Raises:
            ModelError: the network takes no size that holds the image.
        """
        if self.fit == "stretch" and self.fit_size is not None:
            return self.fit_size
        if self.fit == "resize" and self.fit_size is not None:
            return _scaled(size, self.fit_size, self.sizes.multiple)
        legal = self.sizes.enclosing(*size)
        if legal is None and self.fit == "tile" and self.fit_size is not None:
            return self.fit_size
        if legal is None:
            raise ModelError(
                f"the network takes {self.sizes}, the image has {size[0]} x {size[1]}; "
                "bring it to a legal size first"
            )
        return legal

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

    def _frames(self, image: np.ndarray) -> np.ndarray:
        """(T, H, W); a still image is a clip that does not move."""
        stack = np.repeat(image[None], self.frames, axis=0) if image.ndim == 2 else image
        if stack.ndim != 3 or len(stack) != self.frames or stack.size == 0:
            clip = f" or a clip ({self.frames}, height, width)" if self.frames > 1 else ""
            raise DataError(
                f"expected a grey image (height, width){clip} with pixels, got shape {image.shape}"
            )
        return stack

    def _filled(self, frame: np.ndarray) -> np.ndarray:
        unit = to_unit(frame)
        return unit if self.fill is None else fill_image(unit, self.fill)

    def _fit(self, frames: np.ndarray) -> tuple[np.ndarray, tuple[Size, ...]]:
        """(T, C, H, W) to windows (n, T, C, h, w) and their corners."""
        size = self.legal_size(_size(frames))
        if self.fit in ("resize", "stretch"):
            planes = [resize_bilinear(plane, size) for plane in frames.reshape(-1, *_size(frames))]
            return np.stack(planes).reshape(1, *frames.shape[:2], *size), ((0, 0),)
        starts = window_starts(_size(frames), size)
        return cut(frames, size, starts), starts


def _faults(facts: Preprocessing) -> Iterator[tuple[bool, str]]:
    """Whether something is wrong, and what."""
    channels, mean, std = facts.in_channels, facts.mean, facts.std
    yield channels < 1, f"in_channels must be at least 1, got {channels}"
    yield (
        not {len(mean), len(std)} <= {1, channels},
        "mean and std must have one value or one per channel "
        f"({channels}), got {len(mean)} and {len(std)}",
    )
    yield not np.isfinite(mean).all(), f"mean must be finite, got {mean}"
    positive = all(0 < value < np.inf for value in std)
    yield not positive, f"std must be positive and finite, got {std}"
    yield (
        not 0 <= facts.target_frame < facts.frames,
        f"target_frame must lie in the clip of {facts.frames} frames, got {facts.target_frame}",
    )
    yield facts.sizes.multiple < 1, f"multiple must be at least 1, got {facts.sizes.multiple}"
    how = "without" if facts.fit == "pad" else "with"
    yield (
        (facts.fit == "pad") != (facts.fit_size is None),
        f"fit {facts.fit!r} goes {how} a fit_size, got {facts.fit_size}",
    )
    reached = facts.fit_size if facts.fit in ("stretch", "tile") else None
    yield (
        reached is not None and not facts.sizes.is_legal(*reached),
        f"fit_size {reached} is not {facts.sizes}",
    )
    yield (
        facts.fill is not None and min(facts.fill) < 1,
        f"fill must be a positive (height, width), got {facts.fill}",
    )


def _size(image: np.ndarray) -> Size:
    height, width = image.shape[-2:]
    return height, width


def _scaled(size: Size, limits: Size, multiple: int) -> Size:
    """Shorter side to `limits[0]`, longer in proportion, at most `limits[1]`; to multiples."""
    scale = min(limits[0] / min(size), limits[1] / max(size))
    height, width = (max(1, round(int(side * scale + 1e-9) / multiple)) for side in size)
    return height * multiple, width * multiple

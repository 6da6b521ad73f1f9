"""Facts about a network that everything around it needs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from irstd.errors import ModelError
from irstd.types import Border

if TYPE_CHECKING:
    from irstd.models.network import Network

Fit = Literal["pad", "resize", "stretch", "tile"]
Size = tuple[int, int]


@dataclass(frozen=True)
class SizeRule:
    """Which heights and widths a network takes, in pixels.

    Attributes:
        multiple: both are multiples of this.
        minimum: smallest legal side; itself a multiple.
        maximum: largest legal side; None: no limit.
        max_area: largest legal height * width; None: no limit.
    """

    __pydantic_config__ = {"extra": "forbid", "strict": True}  # noqa: RUF012 (pydantic reads it)

    multiple: int = 1
    minimum: int = 1
    maximum: int | None = None
    max_area: int | None = None

    def is_legal(self, height: int, width: int) -> bool:
        """Whether a network of this rule takes an image of this size."""
        return (
            min(height, width) >= self.minimum
            and not (height % self.multiple or width % self.multiple)
            and (self.maximum is None or max(height, width) <= self.maximum)
            and (self.max_area is None or height * width <= self.max_area)
        )

    def enclosing(self, height: int, width: int) -> Size | None:
        """The smallest legal size that holds an image; None where there is none."""
        rows, cols = (
            max(self.smallest, side + (-side) % self.multiple) for side in (height, width)
        )
        return (rows, cols) if self.is_legal(rows, cols) else None

    @property
    def smallest(self) -> int:
        """The smallest legal side."""
        return max(self.minimum, self.multiple)

    def check(self, name: str, height: int, width: int) -> None:
        """Refuse an illegal size.

        Raises:
            ModelError: the message names network, rule, size and the nearest legal size above.
        """
        if self.is_legal(height, width):
            return
        above = self.enclosing(height, width)
        advice = (
            f"pad or resize the image to {above[0]} x {above[1]}"
            if above
            else "resize or tile the image"
        )
        raise ModelError(
            f"{name}: height and width must be {self}, got {height} x {width}; "
            f"{advice} (irstd.inference does)"
        )

    def __str__(self) -> str:
        if self.minimum == self.maximum:
            return f"{self.minimum} x {self.minimum}"
        words = [f"multiples of {self.multiple}" if self.multiple > 1 else "any size"]
        if self.smallest > self.multiple:
            words.append(f"from {self.smallest}")
        if self.maximum is not None:
            words.append(f"to {self.maximum}")
        if self.max_area is not None:
            words.append(f"with at most {self.max_area} pixels")
        return " ".join(words)


@dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """Facts of one network, stated in its own file.

    Attributes:
        name: model id.
        build: callable that takes keywords (`in_channels` among them) and returns the network.
        paper: full citation with DOI.
        sizes: legal heights and widths.
        dynamic_axes: names of the ONNX input's free axes, of `batch`, `height`, `width`.
        fixed_reason: why height and width are not free, where they are not.
        in_channels: channels of the published configuration; a network of three takes one, too.
        frames: frames of a clip; 1 for a single-frame network.
        target_frame: position in the clip, from 0, of the frame that is segmented.
        border: what stands for the frames of a clip that lie outside the sequence, as published;
            a recipe may choose another.
        mean: per channel, subtracted from the image in [0, 1]: what published weights expect.
        std: per channel, the image is divided by this after the subtraction.
        fit: how inference brings an image to a legal size: `pad` with zeros below and at the right
            (cropped from the output); `resize`, the shorter side to `fit_size[0]`, the longer in
            proportion, at most `fit_size[1]`, both rounded to a multiple; `stretch` to
            (height, width) `fit_size`; `tile`, padded where a legal size holds the image, else
            overlapping windows of `fit_size`.
        fit_size: see `fit`; None for `pad`.
        compare: what is compared where outputs are: `logits`, or `probability` where the logits
            are clamped.
        published_keys: regular expressions and replacements, applied in this order with `re.sub`
            to each name of a published checkpoint; the result is the name in our state dict.
        unused_keys: regular expressions of published names that have no place in ours (derived
            tables, entries that are never run); matched from the start of the name.
        backbone: prefixes of the parameters that train at the rate of the pretrained part.
        variant_of: the network whose file holds it, where it is a variant.
        parity: largest |ONNX - torch| of what `compare` says, in standard deviations of torch's.
        parity_reason: measured float32 noise, where `parity` is above 1e-3.
    """

    name: str
    build: Callable[..., "Network"]
    paper: str
    sizes: SizeRule
    dynamic_axes: tuple[Literal["batch", "height", "width"], ...]
    fixed_reason: str = ""
    in_channels: int = 1
    frames: int = 1
    target_frame: int = 0
    border: Border = "wrap"
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    fit: Fit = "pad"
    fit_size: Size | None = None
    compare: Literal["logits", "probability"] = "logits"
    published_keys: tuple[tuple[str, str], ...] = ()
    unused_keys: tuple[str, ...] = ()
    backbone: tuple[str, ...] = ()
    variant_of: str = ""
    parity: float = 1e-3
    parity_reason: str = ""

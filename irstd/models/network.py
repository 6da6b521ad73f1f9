"""What all networks have in common: admission of the input, outputs for losses, fusing."""

from typing import Self

import torch
from torch import Tensor, nn

from irstd.errors import ModelError
from irstd.models.fusing import fold_norms
from irstd.models.spec import SizeRule
from irstd.types import Outputs

AXES = {4: "(N, C, H, W)", 5: "(N, T, C, H, W)"}


class Network(nn.Module):
    """Base of the networks; each implements `forward`, and `outputs` where it has side outputs.

    Args:
        name: model id, for messages.
        in_channels: channels of the first layer.
        sizes: legal heights and widths.
        frames: frames of a clip; 1: the network takes single images.

    Raises:
        ModelError: fewer than one channel.
    """

    def __init__(self, name: str, in_channels: int, sizes: SizeRule, frames: int = 1) -> None:
        super().__init__()
        if in_channels < 1:
            raise ModelError(f"{name}: in_channels must be at least 1, got {in_channels}")
        self.name, self.in_channels, self.sizes, self.frames = name, in_channels, sizes, frames

    def admit(self, image: Tensor) -> Tensor:
        """Check an input and repeat a single channel where the network takes several.

        Args:
            image: (N, C, H, W), or (N, T, C, H, W) for a network of clips; normalised; C is 1 or
                `in_channels`.

        Returns:
            The same with `in_channels` channels.

        Raises:
            ModelError: another number of axes, frames or channels, or an illegal size.
        """
        axes = 4 if self.frames == 1 else 5
        channels = {1, self.in_channels}
        wrong_frames = axes == 5 and image.ndim == 5 and image.shape[1] != self.frames
        if image.ndim != axes or wrong_frames or image.shape[-3] not in channels:
            clip = f"T = {self.frames} and " if axes == 5 else ""
            raise ModelError(
                f"{self.name}: expected an input {AXES[axes]} with {clip}C = "
                f"{' or '.join(map(str, sorted(channels)))}, got shape {tuple(image.shape)}"
            )
        self.sizes.check(self.name, image.shape[-2], image.shape[-1])
        if image.shape[-3] == self.in_channels:
            return image
        return image.expand(*image.shape[:-3], self.in_channels, *image.shape[-2:])

    def outputs(self, image: Tensor) -> Outputs:
        """Everything a loss may supervise; the logits are those of `forward`."""
        return Outputs(self(image))

    def example(self) -> Tensor:
        """Zeros of the smallest legal input, of the parameters' dtype and device."""
        like = next(self.parameters())
        side = self.sizes.smallest
        clip = () if self.frames == 1 else (self.frames,)
        shape = (1, *clip, self.in_channels, side, side)
        return torch.zeros(shape, dtype=like.dtype, device=like.device)

    def fuse(self) -> Self:
        """A copy for inference, in evaluation mode, with batch norms folded into convolutions."""
        return fold_norms(self, self.example())

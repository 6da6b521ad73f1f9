"""ALCNet: local contrast as a layer, and a pyramid in which shallow contrast weights the deep one.

Paper: Y. Dai, Y. Wu, F. Zhou, K. Barnard, "Attentional Local Contrast Networks for Infrared Small
Target Detection", IEEE TGRS 2021, DOI 10.1109/TGRS.2020.3044958.

Three published networks:

- `ALCNet`, the authors' released weights (github.com/YimianDai/open-alcnet, MXNet): the larger of
  two contrasts, fused bottom-up.
- `ALCNetBilocal`, the authors' code with other switches, without published weights: contrasts
  that weight each other, fused by global weights. Table VII of the ISPANet paper counts it.
- `ALCNetFPN`, what github.com/XinyiYing/BasicIRSTD calls ALCNet: an ACM pyramid without local
  contrast. It ends with a sigmoid there; here `forward` returns what goes into it, so the
  published probability is the sigmoid of these logits.

Deliberate differences: the contrast pads each map cyclically once and compares slices of it, with
the published values; shifts wrap as often as they must, so maps of 17 pixels and less work too
(the authors' code fails on them). Sides below 16 are refused: their deepest map has hardly a pixel.
`ALCNetFPN` has no stages behind its fusions: published files hold them, nothing runs them. Batch
norms move their statistics by 0.1 per step (see `irstd.models.acm`).
"""

from collections.abc import Callable
from dataclasses import replace
from functools import reduce

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from irstd.models import layers
from irstd.models.network import Network
from irstd.models.spec import NetworkSpec, SizeRule

CHANNELS = (16, 32, 64)
SHIFTS = (13, 17)
PAIRS = ((-1, -1), (-1, 0), (-1, 1), (0, 1))  # one of each two opposite neighbours
SIZES = SizeRule(minimum=16)  # the deepest map has 4 x 4 pixels
SIZES_FPN = SizeRule(multiple=16)


def pad_cyclically(x: Tensor, width: int) -> Tensor:
    """Continue a map periodically by `width` pixels on each side, however small it is."""
    for axis in (-2, -1):
        # A tensor: the ONNX exporter knows no remainder by a number that it doesn't.
        size = torch.full((1,), x.shape[axis], device=x.device)
        before = torch.arange(-width, 0, device=x.device) % size
        after = torch.arange(width, device=x.device) % size
        x = torch.cat([x.index_select(axis, before), x, x.index_select(axis, after)], axis)
    return x


def local_contrast(x: Tensor) -> list[Tensor]:
    """Patch contrast P_s for each of the shifts, (N, c, H, W) to maps of the same shape.

    P_s = min over four directions d of (x[+s d] - x) * (x[-s d] - x), shifts modulo height and
    width: high where a pixel differs in the same sense from all that surrounds it.
    """
    height, width = x.shape[-2:]
    margin = max(SHIFTS)
    padded = pad_cyclically(x, margin)

    def difference(dy: int, dx: int) -> Tensor:
        top, left = margin + dy, margin + dx
        return padded[..., top : top + height, left : left + width] - x

    return [
        reduce(
            torch.minimum,
            (difference(s * dy, s * dx) * difference(-s * dy, -s * dx) for dy, dx in PAIRS),
        )
        for s in SHIFTS
    ]


class LargestContrast(nn.Module):
    """Multi-scale local contrast M: per pixel the larger of the shifts."""

    def forward(self, x: Tensor) -> Tensor:
        """Features to their contrast, of the same shape."""
        return reduce(torch.maximum, local_contrast(x))


class BilocalContrast(nn.Module):
    """Contrasts of both shifts, each weighted per pixel by the other."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.near_norm = nn.BatchNorm2d(channels)
        self.far_norm = nn.BatchNorm2d(channels)
        self.topdown = layers.local_gate(channels, channels // 2)
        self.bottomup = layers.local_gate(channels, channels // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Features to their contrast, of the same shape."""
        near, far = local_contrast(x)
        near, far = self.near_norm(near), self.far_norm(far)
        return self.topdown(far) * near + self.bottomup(near) * far


class BottomUpLocalFusion(nn.Module):
    """Bottom-up local modulation: the shallow contrast weights the deep one per pixel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.deep_norm = nn.BatchNorm2d(channels)
        self.shallow_norm = nn.BatchNorm2d(channels)
        self.bottomup = layers.local_gate(channels, channels)

    def forward(self, deep: Tensor, shallow: Tensor) -> Tensor:
        """Two maps (N, c, H, W) to one of the same shape."""
        deep, shallow = self.deep_norm(deep), self.shallow_norm(shallow)
        return self.bottomup(shallow) * deep + shallow


class BiglobalFusion(nn.Module):
    """Each contrast weighted per channel by the mean of the other."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.deep_norm = nn.BatchNorm2d(channels)
        self.shallow_norm = nn.BatchNorm2d(channels)
        self.topdown = layers.global_gate(channels, channels // 2)
        self.bottomup = layers.global_gate(channels, channels // 2)

    def forward(self, deep: Tensor, shallow: Tensor) -> Tensor:
        """Two maps (N, c, H, W) to one of the same shape."""
        deep, shallow = self.deep_norm(deep), self.shallow_norm(shallow)
        return self.topdown(deep) * shallow + self.bottomup(shallow) * deep


class ContrastPyramid(Network):
    """What both networks of the authors share.

    Args:
        name: model id, for messages.
        in_channels: channels of the image.
        blocks: residual blocks per stage.
        contrast: builds, from a number of channels, the contrast of one level.
        fusion: builds, from a number of channels, the fusion of two levels.

    Raises:
        ModelError: less than one channel or block.
    """

    def __init__(
        self,
        name: str,
        in_channels: int,
        blocks: int,
        contrast: Callable[[int], nn.Module],
        fusion: Callable[[int], nn.Module],
    ) -> None:
        super().__init__(name, in_channels, SIZES)
        layers.check_blocks(name, blocks)
        low, middle, high = CHANNELS
        self.stem = layers.full_stem(in_channels, low)
        self.layer1 = layers.stage(low, low, blocks)
        self.layer2 = layers.stage(low, middle, blocks, stride=2)
        self.layer3 = layers.stage(middle, high, blocks, stride=2)
        self.contrast1, self.contrast2, self.contrast3 = map(contrast, CHANNELS)
        self.narrow3 = _narrow(high, low)
        self.narrow2 = _narrow(middle, low)
        self.fuse2 = fusion(low)
        self.fuse1 = fusion(low)
        self.head = layers.fcn_head(low)
        layers.initialise_msra_prelu(self)

    def forward(self, image: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1 h w"]:
        """Logits at the size of the image."""
        c1 = self.layer1(self.stem(self.admit(image)))  # (N, 16, H, W)
        c2 = self.layer2(c1)  # (N, 32, H/2, W/2), sides rounded up
        c3 = self.layer3(c2)  # (N, 64, H/4, W/4)
        p3 = self.narrow3(self.contrast3(c3))  # (N, 16, H/4, W/4)
        p2 = self.narrow2(self.contrast2(c2))  # (N, 16, H/2, W/2)
        p1 = self.contrast1(c1)  # (N, 16, H, W)
        f2 = self.fuse2(_enlarge(p3, p2), p2)
        f1 = self.fuse1(_enlarge(f2, p1), p1)
        return self.head(f1)


class ALCNet(ContrastPyramid):
    """The network of the authors' released weights.

    Args:
        in_channels: channels of the image.
        blocks: residual blocks per stage.

    Raises:
        ModelError: an argument below 1; in `forward`, a side below 16 pixels.
    """

    def __init__(self, in_channels: int = 3, blocks: int = 4) -> None:
        super().__init__("alcnet", in_channels, blocks, _largest_contrast, BottomUpLocalFusion)


class ALCNetBilocal(ContrastPyramid):
    """The variant that Table VII of the ISPANet paper counts.

    Args:
        in_channels: channels of the image.
        blocks: residual blocks per stage.

    Raises:
        ModelError: an argument below 1; in `forward`, a side below 16 pixels.
    """

    def __init__(self, in_channels: int = 3, blocks: int = 4) -> None:
        super().__init__("alcnet_bilocal", in_channels, blocks, BilocalContrast, BiglobalFusion)


class ALCNetFPN(Network):
    """The network that BasicIRSTD calls ALCNet: an ACM pyramid, no local contrast.

    Args:
        in_channels: channels of the image.
        blocks: residual blocks per stage.

    Raises:
        ModelError: an argument below 1; in `forward`, a height or width that is not a multiple of
            16.
    """

    def __init__(self, in_channels: int = 1, blocks: int = 4) -> None:
        super().__init__("alcnet_fpn", in_channels, SIZES_FPN)
        layers.check_blocks("alcnet_fpn", blocks)
        low, middle, high = CHANNELS
        self.stem = layers.strided_stem(in_channels, low)
        self.layer1 = layers.stage(low, low, blocks)
        self.layer2 = layers.stage(low, middle, blocks, stride=2)
        self.layer3 = layers.stage(middle, high, blocks, stride=2)
        self.deconv2 = layers.doubling(high, middle)
        self.fuse23 = layers.AsymmetricFusion(middle)
        self.deconv1 = layers.doubling(middle, low)
        self.fuse12 = layers.AsymmetricFusion(low)
        self.deconv0 = layers.doubling(low, low // 2)
        self.head = layers.fcn_head(low // 2)

    def forward(self, image: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1 h w"]:
        """Logits at the size of the image."""
        image = self.admit(image)
        c1 = self.layer1(self.stem(image))  # (N, 16, H/4, W/4)
        c2 = self.layer2(c1)  # (N, 32, H/8, W/8)
        c3 = self.layer3(c2)  # (N, 64, H/16, W/16)
        f2 = self.fuse23(self.deconv2(c3), c2)  # (N, 32, H/8, W/8)
        f1 = self.fuse12(self.deconv1(f2), c1)  # (N, 16, H/4, W/4)
        logits = self.head(self.deconv0(f1))  # (N, 1, H/2, W/2)
        return F.interpolate(logits, size=image.shape[-2:], mode="bilinear", align_corners=False)


def _largest_contrast(_channels: int) -> nn.Module:
    return LargestContrast()


def _narrow(in_channels: int, channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
    )


def _enlarge(deep: Tensor, shallow: Tensor) -> Tensor:
    """The deep map at the size of the shallow one, corners on corners."""
    return F.interpolate(deep, size=shallow.shape[-2:], mode="bilinear", align_corners=True)


PUBLISHED_KEYS = (
    *layers.MXNET_KEYS,
    (r"^fuse_mpcm_c([123])\.bn1\.", r"contrast\1.near_norm."),
    (r"^fuse_mpcm_c([123])\.bn2\.", r"contrast\1.far_norm."),
    (r"^fuse_mpcm_c", r"contrast"),
    (r"^dec_c([23])\.", r"narrow\1."),
    (r"^(?:bottomuplocal|biglobal)_fpn_([12])\.", r"fuse\1."),
    (r"^(fuse[12])\.bn1\.", r"\1.deep_norm."),
    (r"^(fuse[12])\.bn2\.", r"\1.shallow_norm."),
    (r"_att\.", r"."),
    *layers.TORCH_KEYS,
    *layers.HEAD_KEYS,
)
PUBLISHED_KEYS_FPN = (*layers.TORCH_KEYS, *layers.HEAD_KEYS)
UNUSED_KEYS = layers.MXNET_CONSTANTS
UNUSED_KEYS_FPN = (r"uplayer[12]\.",)

PAPER = (
    "Y. Dai et al., Attentional Local Contrast Networks for Infrared Small Target Detection, "
    "IEEE TGRS 2021, DOI 10.1109/TGRS.2020.3044958"
)

SPEC = NetworkSpec(
    name="alcnet",
    build=ALCNet,
    paper=PAPER,
    sizes=SIZES,
    dynamic_axes=("batch", "height", "width"),
    in_channels=3,
    mean=layers.IMAGENET_MEAN,
    std=layers.IMAGENET_STD,
    fit="stretch",
    fit_size=(512, 512),
    published_keys=PUBLISHED_KEYS,
    unused_keys=UNUSED_KEYS,
)

SPEC_BILOCAL = replace(SPEC, name="alcnet_bilocal", build=ALCNetBilocal, variant_of="alcnet")

SPEC_FPN = NetworkSpec(
    name="alcnet_fpn",
    build=ALCNetFPN,
    paper=PAPER,
    sizes=SIZES_FPN,
    dynamic_axes=("batch", "height", "width"),
    mean=layers.SIRST_MEAN,
    std=layers.SIRST_STD,
    published_keys=PUBLISHED_KEYS_FPN,
    unused_keys=UNUSED_KEYS_FPN,
    variant_of="alcnet",
)

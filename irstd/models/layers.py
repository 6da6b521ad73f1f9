"""Blocks that two or more networks use.

Paper: Y. Dai et al., "Asymmetric Contextual Modulation for Infrared Small Target Detection",
WACV 2021, DOI 10.1109/WACV48630.2021.00099 (ACM), and by the same authors "Attentional Local
Contrast Networks for Infrared Small Target Detection", IEEE TGRS 2021,
DOI 10.1109/TGRS.2020.3044958 (ALCNet).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from irstd.errors import ModelError

PRELU_SLOPE = 0.25  # MXNet's default for its initialiser MSRAPrelu

# Normalisation of images in [0, 1] that published weights expect.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIRST_MEAN, SIRST_STD = (101.06385 / 255,), (34.619606 / 255,)  # BasicIRSTD's, of SIRST

# How published state dicts name the parts of these blocks: the PyTorch form, and MXNet's.
TORCH_KEYS = ((r"\.bn([12])\.", r".norm\1."), (r"\.downsample\.", r".shortcut."))
MXNET_KEYS = (
    (r"\.body\.0\.", r".conv1."),
    (r"\.body\.1\.", r".norm1."),
    (r"\.body\.3\.", r".conv2."),
    (r"\.body\.4\.", r".norm2."),
    (r"\.gamma$", r".weight"),
    (r"\.beta$", r".bias"),
)
HEAD_KEYS = ((r"^head\.block\.", r"head."),)
MXNET_CONSTANTS = (r"stem\.0\.(gamma|beta)$",)  # 1 and 0, stored for a norm that has neither


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut: ReLU(BN(conv(ReLU(BN(conv(x))))) + shortcut(x))."""

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) to (N, out, H/stride, W/stride), rounded up."""
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class ChannelAttention(nn.Module):
    """Weight of each channel, from its mean and maximum over the map (CBAM; DNANet, SGMP-UNet)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(1, channels // 16)
        self.reduce = nn.Conv2d(channels, inner, 1, bias=False)
        self.expand = nn.Conv2d(inner, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, c, H, W) to (N, c, 1, 1) in (0, 1)."""
        mean, peak = x.mean((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
        return torch.sigmoid(self.expand(F.relu(self.reduce(mean)) + F.relu(self.reduce(peak))))


class SpatialAttention(nn.Module):
    """Weight of each pixel, from its mean and maximum over channels (CBAM; MPCNet with 3 x 3)."""

    def __init__(self, kernel: int = 7) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, c, H, W) to (N, 1, H, W) in (0, 1)."""
        return torch.sigmoid(self.conv(torch.cat([x.mean(1, True), x.amax(1, True)], 1)))


def stage(in_channels: int, channels: int, blocks: int, stride: int = 1) -> nn.Sequential:
    """Residual blocks one after the other; the first has the stride."""
    first = ResidualBlock(in_channels, channels, stride)
    return nn.Sequential(first, *(ResidualBlock(channels, channels) for _ in range(blocks - 1)))


def check_blocks(name: str, blocks: int) -> None:
    """Refuse a stage without blocks.

    Args:
        name: model id, for the message.
        blocks: residual blocks per stage.

    Raises:
        ModelError: less than one.
    """
    if blocks < 1:
        raise ModelError(f"{name}: blocks must be at least 1 per stage, got {blocks}")


def full_stem(in_channels: int, channels: int) -> nn.Sequential:
    """Stem that keeps the size: normalisation without gain and shift, one 3x3 convolution."""
    return nn.Sequential(
        nn.BatchNorm2d(in_channels, affine=False),
        nn.Conv2d(in_channels, channels, 3, 1, 1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    )


def strided_stem(in_channels: int, channels: int) -> nn.Sequential:
    """Stem to a quarter of the size: normalisation, three 3x3 convolutions, pooling."""
    narrow = channels // 2
    return nn.Sequential(
        nn.BatchNorm2d(in_channels),
        nn.Conv2d(in_channels, narrow, 3, 2, 1, bias=False),
        nn.BatchNorm2d(narrow),
        nn.ReLU(),
        nn.Conv2d(narrow, narrow, 3, 1, 1, bias=False),
        nn.BatchNorm2d(narrow),
        nn.ReLU(),
        nn.Conv2d(narrow, channels, 3, 1, 1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
    )


def local_gate(channels: int, hidden: int) -> nn.Sequential:
    """Weights in (0, 1) per channel and pixel: (N, c, H, W) to the same shape."""
    return nn.Sequential(
        nn.Conv2d(channels, hidden, 1),
        nn.BatchNorm2d(hidden),
        nn.ReLU(),
        nn.Conv2d(hidden, channels, 1),
        nn.BatchNorm2d(channels),
        nn.Sigmoid(),
    )


def global_gate(channels: int, hidden: int) -> nn.Sequential:
    """Weights in (0, 1) per channel, from the mean over the image: (N, c, H, W) to (N, c, 1, 1).

    In training its norms need a batch of two or more.
    """
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), *local_gate(channels, hidden))


class AsymmetricFusion(nn.Module):
    """ACM: the deep map weights the shallow one per channel, the shallow the deep per pixel.

    ACM paper, section 3. `topdown` and `bottomup` are the two modulations.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.topdown = global_gate(channels, channels // 4)
        self.bottomup = local_gate(channels, channels // 4)
        self.post = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1), nn.BatchNorm2d(channels), nn.ReLU()
        )

    def forward(self, deep: Tensor, shallow: Tensor) -> Tensor:
        """Two maps (N, c, H, W) to one of the same shape."""
        return self.post(2 * (shallow * self.topdown(deep) + deep * self.bottomup(shallow)))


def fcn_head(channels: int) -> nn.Sequential:
    """Head (N, c, H, W) to (N, 1, H, W), by way of c/4 channels."""
    return nn.Sequential(
        nn.Conv2d(channels, channels // 4, 3, 1, 1, bias=False),
        nn.BatchNorm2d(channels // 4),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Conv2d(channels // 4, 1, 1),
    )


def doubling(in_channels: int, channels: int) -> nn.ConvTranspose2d:
    """Learned up-sampling to twice the size."""
    return nn.ConvTranspose2d(in_channels, channels, 4, 2, 1)


def initialise_msra_prelu(network: nn.Module) -> None:
    """Initialise as MXNet's MSRAPrelu: how the authors of ACM and ALCNet train.

    Normal weights of variance 2 / (1 + a^2) / mean(fan in, fan out), a = 0.25; biases 0.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            fans = sum(module.weight.shape[:2]) * math.prod(module.kernel_size)
            nn.init.normal_(module.weight, std=math.sqrt(4 / (1 + PRELU_SLOPE**2) / fans))
            if module.bias is not None:
                nn.init.zeros_(module.bias)

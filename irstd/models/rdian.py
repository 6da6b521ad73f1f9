"""RDIAN: fixed direction filters as attention, then branches of four receptive fields.

Paper: H. Sun, J. Bai, F. Yang, X. Bai, "Receptive-Field and Direction Induced Attention Network for
Infrared Dim Small Target Detection With a Large-Scale Dataset IRDST", IEEE TGRS 2023,
DOI 10.1109/TGRS.2023.3235150. Authors' code and weights: github.com/sun11999/RDIAN.

The authors write the eight direction filters as fixed 5x5 convolutions; here an image minus a
shifted image, which is the same. An image of several channels, which the authors do not have,
gives the direction attention of its mean.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from irstd.models.network import Network
from irstd.models.spec import NetworkSpec, SizeRule

STEM_CHANNELS = 16
CHANNELS = 32
HEAD_CHANNELS = 8
BRANCHES = {1: 1, 3: 2, 5: 2, 7: 2}  # kernel: blocks
REACH = 2  # pixels between a pixel and the neighbour it is compared with
# Neighbours (row, col), clockwise from the upper left: the i-th is opposite to the (i + 4)-th.
DIRECTIONS = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))
SIZES = SizeRule(minimum=3)  # smaller images are one pixel, without statistics, at half resolution


def direction_contrasts(image: Tensor) -> Tensor:
    """Each pixel minus its neighbour, 0 outside the image, in the order of `DIRECTIONS`.

    Args:
        image: (N, 1, H, W).

    Returns:
        (N, 8, H, W).
    """
    height, width = image.shape[-2:]
    padded = F.pad(image, (REACH,) * 4)
    neighbours = [
        padded[..., REACH * (1 + row) :, REACH * (1 + col) :][..., :height, :width]
        for row, col in DIRECTIONS
    ]
    return image - torch.cat(neighbours, 1)


def direction_attention(image: Tensor) -> Tensor:
    """(N, C, H, W) to a gate (N, 1, H, W), large where opposite contrasts have the same sign."""
    contrasts = direction_contrasts(image.mean(1, keepdim=True))
    one_way, opposite = contrasts.chunk(2, 1)
    return torch.sigmoid((one_way * opposite).sum(1, keepdim=True))


def conv_block(in_channels: int, channels: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution without bias, batch norm, leaky ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(channels),
        nn.LeakyReLU(0.01),
    )


class ResidualBlock(nn.Module):
    """Two convolutions through half the width and a shortcut; no activation after the sum."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.layer1 = conv_block(channels, channels // 2, kernel)
        self.layer2 = conv_block(channels // 2, channels, kernel)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        return x + self.layer2(self.layer1(x))


class ChannelGate(nn.Module):
    """A gate per channel, from mean and maximum over the pixels, through one hidden unit."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(channels, 1), nn.ReLU(), nn.Linear(1, channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        gate = self.mlp(x.mean((2, 3))) + self.mlp(x.amax((2, 3)))  # (N, C)
        return x * torch.sigmoid(gate)[:, :, None, None]


class SpatialGate(nn.Module):
    """A gate per pixel, from maximum and mean over the channels, in this order."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, 1, 3, bias=False)
        self.norm = nn.BatchNorm2d(1, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        summary = torch.cat([x.amax(1, keepdim=True), x.mean(1, keepdim=True)], 1)
        return x * torch.sigmoid(self.norm(self.conv(summary)))


class RDIAN(Network):
    """The whole network.

    Args:
        in_channels: channels of the image.

    Raises:
        ModelError: fewer than one channel; in `forward`, a height or width under 3.
    """

    def __init__(self, in_channels: int = 1) -> None:
        super().__init__("rdian", in_channels, SIZES)
        self.stem = conv_block(in_channels, STEM_CHANNELS, 3)
        self.reduce = conv_block(STEM_CHANNELS, CHANNELS, 3, stride=2)
        self.branches = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(CHANNELS, kernel) for _ in range(blocks)))
            for kernel, blocks in BRANCHES.items()
        )
        self.merge = conv_block(len(BRANCHES) * CHANNELS, CHANNELS, 3)
        self.channel_gate = ChannelGate(CHANNELS)
        self.spatial_gate = SpatialGate()
        self.shortcut = conv_block(STEM_CHANNELS, CHANNELS, 1)
        self.head = nn.Sequential(
            nn.Conv2d(CHANNELS, HEAD_CHANNELS, 3, 1, 1, bias=False),
            nn.BatchNorm2d(HEAD_CHANNELS),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Conv2d(HEAD_CHANNELS, 1, 1),
        )
        self._initialise()

    def forward(self, image: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1 h w"]:
        """Logits at the size of the image."""
        image = self.admit(image)
        a = self.stem(image)  # (N, 16, H, W)
        o = self.reduce(a + a * direction_attention(image))  # (N, 32, H/2, W/2), rounded up
        z = self.merge(torch.cat([branch(o) for branch in self.branches], 1))
        z = self.spatial_gate(self.channel_gate(z))
        z = F.interpolate(z, size=image.shape[-2:], mode="bilinear", align_corners=False)
        return self.head(F.relu(z + self.shortcut(a)))

    def _initialise(self) -> None:
        """As the authors do, norm shifts N(0, 1) included."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0, 0.02)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight, 1, 0.02)
                nn.init.normal_(module.bias)


PUBLISHED_KEYS = (
    (r"^conv1\.", "stem."),
    (r"^conv2\.", "reduce."),
    (r"^residual_block(\d)\.", r"branches.\1."),
    (r"^conv_cat\.", "merge."),
    (r"^cbam\.ChannelGate\.mlp\.1\.", "channel_gate.mlp.0."),
    (r"^cbam\.ChannelGate\.mlp\.3\.", "channel_gate.mlp.2."),
    (r"^cbam\.SpatialGate\.spatial\.conv\.", "spatial_gate.conv."),
    (r"^cbam\.SpatialGate\.spatial\.bn\.", "spatial_gate.norm."),
    (r"^conv_res\.", "shortcut."),
    (r"^head\.block\.", "head."),
)
UNUSED_KEYS = (r"d1[1-8]\.weight$",)  # the direction filters

SPEC = NetworkSpec(
    name="rdian",
    build=RDIAN,
    paper=(
        "H. Sun, J. Bai, F. Yang, X. Bai, Receptive-Field and Direction Induced Attention Network "
        "for Infrared Dim Small Target Detection With a Large-Scale Dataset IRDST, IEEE TGRS 2023, "
        "DOI 10.1109/TGRS.2023.3235150"
    ),
    sizes=SIZES,
    dynamic_axes=("batch", "height", "width"),
    mean=(-0.1246,),
    std=(1.0923,),
    published_keys=PUBLISHED_KEYS,
    unused_keys=UNUSED_KEYS,
)

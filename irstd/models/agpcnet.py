"""AGPCNet: attention inside the patches of a pyramid of grids, guided by attention between them.

Paper: T. Zhang, L. Li, S. Cao, T. Pu, Z. Peng, "Attention-Guided Pyramid Context Networks for
Detecting Infrared Small Target Under Complex Background", IEEE TAES 2023, DOI
10.1109/TAES.2023.3238703. Authors' code: github.com/Tianfang-Zhang/AGPCNet.

Differences that change no number: the authors attend to one patch after another, here all patches
of a grid share the batch axis, brought to one length by pixels that no one looks at, so that the
network exports with free height and width (43.01 instead of 42.98 G MACs at 256 x 256); their
adaptive max pooling is written as maxima over its windows, one axis after the other, because ONNX
has none of unequal windows. The authors load ImageNet weights and then draw every convolution anew:
none are loaded here.
"""

from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from irstd.errors import ModelError
from irstd.models.layers import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    TORCH_KEYS,
    global_gate,
    local_gate,
    stage,
)
from irstd.models.network import Network
from irstd.models.spec import NetworkSpec, SizeRule

GRIDS = {"agpcnet_1": (10, 6, 5, 3), "agpcnet_2": (10, 6, 5, 4)}
STAGE_CHANNELS = (64, 128, 256, 512)
REDUCTION = 16  # of the channels inside the context pyramid
PATCH_REDUCTION = 4  # of the queries and keys inside a patch
GATE_REDUCTION = 4
SIZES = SizeRule(multiple=4, minimum=80)  # 1/8 of 80 are the 10 rows the finest grid needs

Variant = Literal["agpcnet_1", "agpcnet_2"]


class Backbone(nn.Module):
    """ResNet-18 whose stem keeps the size of the image."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        stem = STAGE_CHANNELS[0]
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, stem, 7, 1, 3, bias=False), nn.BatchNorm2d(stem), nn.ReLU()
        )
        before = (stem, *STAGE_CHANNELS[:-1])
        self.stages = nn.ModuleList(
            stage(first, channels, 2, 1 if first == channels else 2)
            for first, channels in zip(before, STAGE_CHANNELS, strict=True)
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """Image to c1, c2, c3: 128, 256, 512 channels at H/2, H/4, H/8."""
        x = self.stages[0](self.stem(image))  # (N, 64, H, W)
        features = []
        for layer in self.stages[1:]:
            x = layer(x)
            features.append(x)
        return features


class NonLocal(nn.Module):
    """Attention between all pixels, gamma * softmax(Q K^T) V + x; the energies are not scaled."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, channels // reduction, 1)
        self.key = nn.Conv2d(channels, channels // reduction, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, keys: Tensor | None = None) -> Tensor:
        """(N, c, H, W) to the same shape; `keys`, (N, 1, 1, H W), is false where no one looks."""
        query, key, value = (
            layer(x).flatten(2).transpose(1, 2)[:, None]
            for layer in (self.query, self.key, self.value)
        )  # (N, 1, H W, c/q or c)
        mixed = F.scaled_dot_product_attention(query, key, value, keys, scale=1.0)
        return self.gamma * mixed[:, 0].transpose(1, 2).reshape(x.shape) + x


class Guidance(nn.Module):
    """GCA: one weight per patch and channel, by attention between the maxima of a k x k grid."""

    def __init__(self, channels: int, grid: int) -> None:
        super().__init__()
        self.grid = grid
        self.non_local = NonLocal(channels, reduction=1)
        self.gate = local_gate(channels, channels // GATE_REDUCTION)

    def forward(self, x: Tensor) -> Tensor:
        """(N, c, H, W) to (N, c, k, k) in (0, 1)."""
        return self.gate(self.non_local(grid_maxima(x, self.grid)))


class Patches(NamedTuple):
    """The k patches of one axis, brought to a common length by rows that belong to others.

    Attributes:
        source: (k, length), the row of the map at each place of each patch.
        own: (k, length), whether that row belongs to the patch.
        patch: (size,), the patch each row of the map belongs to.
        place: (size,), its place there.
    """

    source: Tensor
    own: Tensor
    patch: Tensor
    place: Tensor


class ContextBlock(nn.Module):
    """AGCB: attention inside each patch of a k x k grid, weighted by the guidance."""

    def __init__(self, channels: int, grid: int) -> None:
        super().__init__()
        self.grid = grid
        self.guidance = Guidance(channels, grid)
        self.non_local = NonLocal(channels, PATCH_REDUCTION)
        self.conv = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels)
        )
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, c, H, W), at least k rows and columns, to the same shape."""
        n, k = x.shape[0], self.grid
        rows, cols = (_patches(size, k, x.device) for size in x.shape[-2:])
        keys = rows.own[:, None, :, None] & cols.own[None, :, None, :]  # (k, k, h, w)
        keys = keys.reshape(k * k, 1, 1, -1).repeat(n, 1, 1, 1)
        cells = x[:, :, rows.source[:, None, :, None], cols.source[None, :, None, :]]
        cells = cells.permute(0, 2, 3, 1, 4, 5).flatten(0, 2)  # (N k^2, c, h, w)
        cells = self.non_local(cells, keys).unflatten(0, (n, k, k)).permute(0, 3, 1, 2, 4, 5)
        cells = cells * self.guidance(x)[..., None, None]  # (N, c, k, k, h, w)
        y = cells[:, :, rows.patch[:, None], cols.patch, rows.place[:, None], cols.place]
        return F.relu(self.gamma * self.conv(y) + x)


class ContextPyramid(nn.Module):
    """CPM: context blocks of several grids, side by side on narrowed features."""

    def __init__(self, channels: int, grids: tuple[int, ...]) -> None:
        super().__init__()
        inner = channels // REDUCTION
        self.narrow = _convolution(channels, inner, 1)
        self.blocks = nn.ModuleList(ContextBlock(inner, grid) for grid in grids)
        self.widen = _convolution((1 + len(grids)) * inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 512, H/8, W/8) to the same shape."""
        narrow = self.narrow(x)  # (N, 32, H/8, W/8)
        return self.widen(torch.cat([narrow, *(block(narrow) for block in self.blocks)], 1))


class AsymmetricFusion(nn.Module):
    """AFM: sum of deep and shallow features, weighted per channel and per pixel."""

    def __init__(self, deep_channels: int, channels: int) -> None:
        super().__init__()
        self.project = _convolution(deep_channels, channels, 1)
        self.channel = global_gate(channels, channels // GATE_REDUCTION)
        self.pixel = local_gate(channels, channels // GATE_REDUCTION)
        self.merge = _convolution(channels, channels, 3)

    def forward(self, deep: Tensor, shallow: Tensor) -> Tensor:
        """(N, deep, h, w) and (N, c, H, W) to (N, c, H, W)."""
        deep = self.project(_resize(deep, shallow.shape[-2:]))
        return self.merge(shallow + deep) * self.channel(deep) * self.pixel(shallow)


class AGPCNet(Network):
    """The whole network.

    Args:
        in_channels: channels of the image.
        variant: the published configuration: grids of 10, 6, 5, 3 patches a side (`agpcnet_1`), or
            10, 6, 5, 4 (`agpcnet_2`).

    Raises:
        ModelError: another variant; in `forward`, a height or width that is no multiple of 4 or
            less than 80.
    """

    def __init__(self, in_channels: int = 3, variant: Variant = "agpcnet_1") -> None:
        super().__init__("agpcnet", in_channels, SIZES)
        if variant not in GRIDS:
            raise ModelError(f"agpcnet: variant must be one of {', '.join(GRIDS)}, got {variant!r}")
        _, width1, width2, width3 = STAGE_CHANNELS
        self.backbone = Backbone(in_channels)
        self.context = ContextPyramid(width3, GRIDS[variant])
        self.fuse23 = AsymmetricFusion(width3, width2)
        self.fuse12 = AsymmetricFusion(width2, width1)
        self.head = nn.Sequential(
            *_convolution(width1, width1 // 4, 3), nn.Dropout(0.1), nn.Conv2d(width1 // 4, 1, 1)
        )
        self._initialise()

    def forward(self, image: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1 h w"]:
        """Logits at the size of the image."""
        image = self.admit(image)
        c1, c2, c3 = self.backbone(image)  # 128 at H/2, 256 at H/4, 512 at H/8
        x = self.fuse23(self.context(c3), c2)  # (N, 256, H/4, W/4)
        x = self.fuse12(x, c1)  # (N, 128, H/2, W/2)
        return _resize(self.head(x), image.shape[-2:])

    def _initialise(self) -> None:
        """Kaiming normal weights (fan-out), as the authors train; biases as torch draws them."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def grid_maxima(x: Tensor, grid: int) -> Tensor:
    """Adaptive max pooling to k x k.

    Window i of h rows goes from floor(i h / k) to ceil((i + 1) h / k), so windows may overlap:
    they are not the patches of the grid.

    Args:
        x: (N, c, H, W), H and W at least k.
        grid: k.

    Returns:
        (N, c, k, k).
    """
    rows, cols = (_windows(size, grid, x.device) for size in x.shape[-2:])
    x = x[:, :, rows].amax(3)  # (N, c, k, W)
    return x[..., cols].amax(4)


def _windows(size: int, grid: int, device: torch.device) -> Tensor:
    """Rows of each pooling window, (k, size // k + 2); shorter windows repeat their last row."""
    window = torch.arange(grid, device=device)[:, None]
    first, end = window * size // grid, ((window + 1) * size + grid - 1) // grid
    return torch.minimum(first + torch.arange(size // grid + 2, device=device), end - 1)


def _patches(size: int, grid: int, device: torch.device) -> Patches:
    """Patches of floor(size / k) rows; the last takes the remainder.

    Their common length is one more than the last needs: the ONNX exporter must know it is not 1.
    """
    step = size // grid
    first = torch.arange(grid, device=device)[:, None] * step
    place = torch.arange(step + size % grid + 1, device=device)
    end = torch.where(first == (grid - 1) * step, size, first + step)
    row = torch.arange(size, device=device)
    patch = (row // step).clamp(max=grid - 1)
    return Patches(
        (first + place).clamp(max=size - 1), first + place < end, patch, row - patch * step
    )


def _convolution(in_channels: int, channels: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, kernel, padding=kernel // 2),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    )


def _resize(x: Tensor, size: torch.Size) -> Tensor:
    return F.interpolate(x, size=size, mode="bilinear", align_corners=True)


PUBLISHED_KEYS = (
    (r"^backbone\.conv1\.", "backbone.stem.0."),
    (r"^backbone\.bn1\.", "backbone.stem.1."),
    (r"^backbone\.layer1\.", "backbone.stages.0."),
    (r"^backbone\.layer2\.", "backbone.stages.1."),
    (r"^backbone\.layer3\.", "backbone.stages.2."),
    (r"^backbone\.layer4\.", "backbone.stages.3."),
    *TORCH_KEYS,
    (r"^context\.conv1\.", "context.narrow."),
    (r"^context\.conv2\.", "context.widen."),
    (r"^context\.scale_list\.", "context.blocks."),
    (r"\.(query|key|value)_conv\.", r".\1."),
    (r"\.attention\.non_local_att\.", ".guidance.non_local."),
    (r"\.attention\.conv_att\.", ".guidance.gate."),
    (r"\.plus_conv\.", ".project."),
    (r"\.ca\.", ".channel."),
    (r"\.pa\.", ".pixel."),
    (r"\.end_conv\.", ".merge."),
    (r"^head\.block\.", "head."),
)

SPEC = NetworkSpec(
    name="agpcnet",
    build=AGPCNet,
    paper=(
        "T. Zhang et al., Attention-Guided Pyramid Context Networks for Detecting Infrared Small "
        "Target Under Complex Background, IEEE TAES 2023, DOI 10.1109/TAES.2023.3238703"
    ),
    sizes=SIZES,
    dynamic_axes=("batch", "height", "width"),
    in_channels=3,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    published_keys=PUBLISHED_KEYS,
)

"""ACM: asymmetric contextual modulation in a small U-Net.

Paper: Y. Dai, Y. Wu, F. Zhou, K. Barnard, "Asymmetric Contextual Modulation for Infrared Small
Target Detection", WACV 2021, DOI 10.1109/WACV48630.2021.00099.

Two published networks, not interchangeable:

- `ACM`, the PyTorch form in wide use (github.com/XinyiYing/BasicIRSTD): 3 blocks per stage and a
  stem of stride 4. It ends with a sigmoid there; here `forward` returns what goes into it, so the
  published probability is the sigmoid of these logits.
- `ACMFull`, the network of the authors' released weights (github.com/YimianDai/open-acm, MXNet):
  4 blocks per stage at full resolution, logits.

Deliberate differences: batch norms move their statistics by 0.1 per step; the PyTorch form gives
0.9, which in MXNet is the share that is kept, and in PyTorch the share that is replaced.
Evaluation is not affected. The last up-sampling goes to the size of the image, which for every
legal size is the published factor of 4.
"""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from irstd.models import layers
from irstd.models.network import Network
from irstd.models.spec import NetworkSpec, SizeRule

CHANNELS = (16, 32, 64)
SIZES = SizeRule(multiple=16)
SIZES_FULL = SizeRule(multiple=4)


class ModulatedUNet(Network):
    """What both networks share: a U-Net whose skips are merged by asymmetric modulation.

    Args:
        name: model id, for messages.
        in_channels: channels of the image.
        blocks: residual blocks per stage.
        sizes: legal heights and widths.
        stem: builds the stem from numbers of channels, of the image and of the first stage.

    Raises:
        ModelError: less than one channel or block.
    """

    def __init__(
        self,
        name: str,
        in_channels: int,
        blocks: int,
        sizes: SizeRule,
        stem: Callable[[int, int], nn.Module],
    ) -> None:
        super().__init__(name, in_channels, sizes)
        layers.check_blocks(name, blocks)
        low, middle, high = CHANNELS
        self.stem = stem(in_channels, low)
        self.layer1 = layers.stage(low, low, blocks)
        self.layer2 = layers.stage(low, middle, blocks, stride=2)
        self.layer3 = layers.stage(middle, high, blocks, stride=2)
        self.deconv2 = layers.doubling(high, middle)
        self.fuse2 = layers.AsymmetricFusion(middle)
        self.uplayer2 = layers.stage(middle, middle, blocks)
        self.deconv1 = layers.doubling(middle, low)
        self.fuse1 = layers.AsymmetricFusion(low)
        self.uplayer1 = layers.stage(low, low, blocks)
        self.head = layers.fcn_head(low)

    def stem_logits(self, image: Tensor) -> Tensor:
        """Logits at the size that the stem leaves, S = H x W or H/4 x W/4."""
        c1 = self.layer1(self.stem(image))  # (N, 16, S)
        c2 = self.layer2(c1)  # (N, 32, S/2)
        c3 = self.layer3(c2)  # (N, 64, S/4)
        u2 = self.uplayer2(self.fuse2(self.deconv2(c3), c2))  # (N, 32, S/2)
        u1 = self.uplayer1(self.fuse1(self.deconv1(u2), c1))  # (N, 16, S)
        return self.head(u1)


class ACM(ModulatedUNet):
    """The PyTorch form.

    Args:
        in_channels: channels of the image (1 as published; Table VII of the ISPANet paper counts
            3).
        blocks: residual blocks per stage.

    Raises:
        ModelError: an argument below 1; in `forward`, a height or width that is not a multiple of
            16.
    """

    def __init__(self, in_channels: int = 1, blocks: int = 3) -> None:
        super().__init__("acm", in_channels, blocks, SIZES, layers.strided_stem)

    def forward(self, image: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1 h w"]:
        """Logits at the size of the image."""
        image = self.admit(image)
        logits = self.stem_logits(image)  # (N, 1, H/4, W/4)
        return F.interpolate(logits, size=image.shape[-2:], mode="bilinear", align_corners=False)


class ACMFull(ModulatedUNet):
    """The network of the authors' released weights.

    Args:
        in_channels: channels of the image.
        blocks: residual blocks per stage.

    Raises:
        ModelError: an argument below 1; in `forward`, a height or width that is not a multiple of
            4.
    """

    def __init__(self, in_channels: int = 3, blocks: int = 4) -> None:
        super().__init__("acm_full", in_channels, blocks, SIZES_FULL, layers.full_stem)
        layers.initialise_msra_prelu(self)

    def forward(self, image: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1 h w"]:
        """Logits at the size of the image."""
        return self.stem_logits(self.admit(image))


PUBLISHED_KEYS = (*layers.TORCH_KEYS, *layers.HEAD_KEYS)
PUBLISHED_KEYS_FULL = (*layers.MXNET_KEYS, *layers.TORCH_KEYS, *layers.HEAD_KEYS)
UNUSED_KEYS_FULL = layers.MXNET_CONSTANTS

PAPER = (
    "Y. Dai et al., Asymmetric Contextual Modulation for Infrared Small Target Detection, "
    "WACV 2021, DOI 10.1109/WACV48630.2021.00099"
)

SPEC = NetworkSpec(
    name="acm",
    build=ACM,
    paper=PAPER,
    sizes=SIZES,
    dynamic_axes=("batch", "height", "width"),
    mean=layers.SIRST_MEAN,
    std=layers.SIRST_STD,
    published_keys=PUBLISHED_KEYS,
)

SPEC_FULL = NetworkSpec(
    name="acm_full",
    build=ACMFull,
    paper=PAPER,
    sizes=SIZES_FULL,
    dynamic_axes=("batch", "height", "width"),
    in_channels=3,
    mean=layers.IMAGENET_MEAN,
    std=layers.IMAGENET_STD,
    fit="stretch",
    fit_size=(512, 512),
    published_keys=PUBLISHED_KEYS_FULL,
    unused_keys=UNUSED_KEYS_FULL,
    variant_of="acm",
)

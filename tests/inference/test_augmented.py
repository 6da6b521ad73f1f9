"""Test-time augmentation against the published rule and the authors' numbers."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from irstd.errors import ModelError
from irstd.inference.augmented import SCALES, multi_scale_flip
from irstd.models.sgmp_unet import SPEC, SGMPUNet
from irstd.models.spec import SizeRule
from tests.models.golden import golden, load

REFERENCE = golden("sgmp_unet")
LIMIT = 2e-3  # absolute, of a probability


@pytest.fixture(scope="module")
def published() -> SGMPUNet:
    return load(SGMPUNet(), SPEC, REFERENCE.state())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "scales"), [("tta_flip_prob", (1.0,)), ("tta_msc_flip_prob", SCALES)]
)
def test_probabilities_are_the_published_ones(published, name, scales):
    clip = REFERENCE.input((1, 3, 6, 256, 256)).transpose(1, 2)
    ours = multi_scale_flip(published, clip, SPEC.sizes, (120, 140), scales)
    assert ours.shape == (1, 1, 120, 140)
    difference = np.abs(ours[..., ::2, ::2].numpy() - REFERENCE.arrays[name])
    assert difference.max() <= LIMIT


class Recorder:
    """A network that answers with its first channel and remembers the sizes it saw."""

    def __init__(self) -> None:
        self.sizes: list[tuple[int, ...]] = []

    def __call__(self, image: Tensor) -> Tensor:
        self.sizes.append(tuple(image.shape[-2:]))
        return image.flatten(1, -3)[:, :1]


def test_sides_are_rounded_up_to_a_legal_size():
    network = Recorder()
    multi_scale_flip(network, torch.rand(1, 1, 320, 256), SizeRule(multiple=32), (9, 9))
    sides = [(256, 224), (288, 256), (320, 256), (352, 288), (384, 320), (416, 352)]
    assert network.sizes == sides * 2


def test_one_scale_without_mirror_is_the_network():
    image = torch.randn(2, 1, 32, 32)
    got = multi_scale_flip(Recorder(), image, SizeRule(), (32, 32), (1.0,), flip=False)
    assert torch.equal(got, image.sigmoid())


def test_the_mean_is_taken_of_probabilities():
    image, size = torch.randn(1, 3, 24, 32), (20, 30)

    def to_output(values: Tensor) -> Tensor:
        return functional.interpolate(values, size=size, mode="bilinear", align_corners=False)

    doubled = functional.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False)
    expected = (to_output(image[:, :1]).sigmoid() + to_output(doubled[:, :1]).sigmoid()) / 2
    got = multi_scale_flip(Recorder(), image, SizeRule(multiple=8), size, (1.0, 2.0), flip=False)
    torch.testing.assert_close(got, expected)


def test_a_clip_is_resized_frame_by_frame():
    clip = torch.randn(1, 6, 3, 32, 32)
    got = multi_scale_flip(Recorder(), clip, SizeRule(multiple=32), (32, 32), (1.5,), flip=False)
    alone = multi_scale_flip(Recorder(), clip[:, 0], SizeRule(32), (32, 32), (1.5,), flip=False)
    torch.testing.assert_close(got, alone)


def test_mirroring_makes_a_one_sided_network_symmetric():
    def left(image: Tensor) -> Tensor:
        return image * torch.linspace(1, 0, image.shape[-1])

    image = torch.randn(1, 1, 16, 16)
    got = multi_scale_flip(left, image, SizeRule(), (16, 16), (1.0,))
    mirrored = multi_scale_flip(left, image.flip(-1), SizeRule(), (16, 16), (1.0,))
    torch.testing.assert_close(mirrored.flip(-1), got)
    expected = (left(image).sigmoid() + left(image.flip(-1)).flip(-1).sigmoid()) / 2
    torch.testing.assert_close(got, expected)


def test_no_gradient_is_kept():
    weight = torch.ones(1, requires_grad=True)
    got = multi_scale_flip(lambda x: x * weight, torch.rand(1, 1, 8, 8), SizeRule(), (8, 8))
    assert not got.requires_grad


@pytest.mark.parametrize("scales", [(), (1.0, 0.0)])
def test_scales_are_checked(scales):
    with pytest.raises(ModelError, match="at least one positive number"):
        multi_scale_flip(Recorder(), torch.rand(1, 1, 8, 8), SizeRule(), (8, 8), scales)


def test_a_scale_beyond_the_network_is_named():
    fixed = SizeRule(256, 256, 256)
    with pytest.raises(ModelError, match=r"scale 1\.1 of an image of 256 x 256 gives 281 x 281"):
        multi_scale_flip(Recorder(), torch.rand(1, 1, 256, 256), fixed, (8, 8))

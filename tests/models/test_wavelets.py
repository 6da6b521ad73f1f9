"""The wavelet transform against PyWavelets, and its own promises."""

import numpy as np
import onnxruntime
import pytest
import pywt
import torch
from torch import Tensor, nn

from irstd.errors import ModelError
from irstd.models.wavelets import BANDS, Analysis, Synthesis

ORTHOGONAL = ["haar", "db2", "db4", "sym4", "coif1", "db20"]
WAVELETS = [*ORTHOGONAL, "bior2.2", "bior4.4", "rbio3.1"]
SIZES = [(64, 48), (6, 10), (2, 2)]  # db20 has 40 taps: more than one period of the last two


def random(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(shape, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("wavelet", WAVELETS)
def test_analysis_is_dwt2(wavelet, size):
    image = random(2, 3, *size)
    ll, details = pywt.dwt2(image.numpy(), wavelet, mode="periodization")
    expected = torch.from_numpy(np.stack([ll, *details], 2))
    torch.testing.assert_close(Analysis(wavelet)(image), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("wavelet", WAVELETS)
def test_synthesis_is_idwt2(wavelet, size):
    bands = random(2, 3, 4, size[0] // 2, size[1] // 2)
    ll, *details = (bands[:, :, index].numpy() for index in range(4))
    expected = torch.from_numpy(pywt.idwt2((ll, tuple(details)), wavelet, mode="periodization"))
    torch.testing.assert_close(Synthesis(wavelet)(bands), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("wavelet", WAVELETS)
def test_reconstruction_is_perfect(wavelet, size):
    """Up to the printed digits of the taps: those of sym4 and bior4.4 are good to 1e-11."""
    image = random(2, 3, *size)
    restored = Synthesis(wavelet)(Analysis(wavelet)(image))
    torch.testing.assert_close(restored, image, rtol=0, atol=1e-10)


def test_reconstruction_in_float32():
    image = random(1, 2, 32, 32).float()
    for wavelet in WAVELETS:
        restored = Synthesis(wavelet)(Analysis(wavelet)(image))
        assert restored.dtype == torch.float32
        torch.testing.assert_close(restored, image, rtol=0, atol=2e-5)


def test_haar_on_one_cell():
    cell = torch.tensor([[[[1.0, 2.0], [4.0, 9.0]]]])
    bands = Analysis("haar")(cell).flatten()
    assert bands.tolist() == pytest.approx([8, -5, -3, 2])  # ll, lh, hl, hh


def test_bands_come_in_the_order_asked():
    image = random(1, 2, 8, 12)
    every = Analysis("db4")(image)
    for bands in (("ll",), ("hh", "lh"), ("lh", "hl", "hh")):
        some = Analysis("db4", bands)(image)
        expected = every[:, :, [BANDS.index(band) for band in bands]]
        torch.testing.assert_close(some, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("wavelet", ORTHOGONAL)
def test_an_orthogonal_transform_keeps_energy_and_its_gradient_is_the_inverse(wavelet):
    image, cotangent = random(1, 2, 16, 24).requires_grad_(), random(1, 2, 4, 8, 12)
    bands = Analysis(wavelet)(image)
    (gradient,) = torch.autograd.grad(bands, image, cotangent)
    torch.testing.assert_close(bands.square().sum(), image.square().sum(), rtol=1e-9, atol=0)
    torch.testing.assert_close(gradient, Synthesis(wavelet)(cotangent), rtol=0, atol=1e-9)


def test_taps_are_no_weights():
    transform = nn.Sequential(Analysis("db4"), Synthesis("db4"))
    assert not transform.state_dict()
    assert not list(transform.parameters())


@pytest.mark.parametrize("wavelet", ["haar", "db4"])
def test_onnx_takes_any_even_size(wavelet):
    round_trip = nn.Sequential(Analysis(wavelet), Synthesis(wavelet)).eval()
    batch, rows, cols = (torch.export.Dim(name) for name in ("batch", "rows", "cols"))
    program = torch.onnx.export(
        round_trip,
        (torch.zeros(2, 3, 10, 14),),
        dynamo=True,
        opset_version=20,
        input_names=["image"],
        dynamic_shapes=({0: batch, 2: 2 * rows, 3: 2 * cols},),
        verbose=False,
    )
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    for size in ((1, 3, 10, 14), (3, 3, 32, 20), (2, 3, 6, 64)):
        image = random(*size).float()
        (restored,) = session.run(None, {"image": image.numpy()})
        torch.testing.assert_close(torch.from_numpy(restored), image, rtol=0, atol=1e-5)


@pytest.mark.parametrize("wavelet", ["wave", "morl", ""])
@pytest.mark.parametrize("transform", [Analysis, Synthesis])
def test_a_wavelet_without_filters_is_refused(transform, wavelet):
    with pytest.raises(ModelError, match=f"discrete wavelet of PyWavelets.*got '{wavelet}'"):
        transform(wavelet)


@pytest.mark.parametrize(
    ("bands", "message"), [(("lh", "xx"), "got lh, xx"), ((), "of ll, lh, hl, hh, got none")]
)
def test_an_unknown_band_is_refused(bands, message):
    with pytest.raises(ModelError, match=message):
        Analysis("haar", bands)


@pytest.mark.parametrize("size", [(7, 8), (8, 7)])
def test_an_odd_size_is_refused(size):
    with pytest.raises(ModelError, match=f"must be even, got {size[0]} x {size[1]}; pad"):
        Analysis("haar")(torch.zeros(1, 1, *size))

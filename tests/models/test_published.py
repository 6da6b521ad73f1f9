from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from irstd.errors import ModelError
from irstd.models import NETWORKS, build_network, network_spec
from irstd.models.published import load_backbone, load_published
from tests.models.golden import golden, load
from tests.models.test_mxnet_params import write
from tests.tiny_network import register_tiny

PUBLISHED = [
    pytest.param(name, marks=pytest.mark.slow if name in ("sgmp_unet", "agpcnet") else ())
    for name in NETWORKS
    if name != "ispanet"  # its authors published no code
]
KEYS = ((r"^conv\.", "point."), (r"^wide", "around"))


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """What the authors of `tiny` would publish."""
    register_tiny(monkeypatch, published_keys=KEYS, unused_keys=(r"old\.", r".*\.table$"))
    return {
        "conv.weight": torch.full((1, 1, 1, 1), 3.0),
        "conv.bias": torch.tensor([-1.0]),
        "wide.weight": torch.ones(1, 1, 3, 3),
        "conv.num_batches_tracked": torch.tensor(5),
        "old.head.weight": torch.ones(7),
        "conv.table": torch.arange(3),
    }


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_tensor_has_its_place(name: str, tmp_path: Path) -> None:
    published = golden(name).state()
    path = tmp_path / "checkpoint.pth.tar"
    wrapped = {f"module.model.{key}": tensor for key, tensor in published.items()}
    torch.save({"epoch": 1, "state_dict": wrapped}, path)
    network = load_published(name, path)
    assert not network.training
    expected = load(build_network(name), network_spec(name), published).state_dict()
    for key, tensor in network.state_dict().items():
        torch.testing.assert_close(tensor, expected[key], rtol=0, atol=0)


@pytest.mark.parametrize("name", ["acm_full", "alcnet", "alcnet_bilocal"])
def test_params_of_mxnet_are_read(name: str, tmp_path: Path) -> None:
    published = {key: tensor.numpy() for key, tensor in golden(name).state().items()}
    constants = {
        key: np.full(entry["shape"], key.endswith("gamma"), "<f4")
        for key, entry in golden(name).inventory.items()
        if entry["derived"]
    }
    (tmp_path / "w.params").write_bytes(write(published | constants))
    got = load_published(name, tmp_path / "w.params").state_dict()
    expected = load_published(name, published).state_dict()
    for key, tensor in expected.items():
        torch.testing.assert_close(got[key], tensor, rtol=0, atol=0)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {name: tensor.numpy() for name, tensor in state.items()},
        lambda state: {f"module.module.model.{name}": tensor for name, tensor in state.items()},
        lambda state: {"epoch": 1, "state": {"model_state_dict": state}, "lr": [0.1]},
        lambda state: {name: tensor.double() for name, tensor in state.items()},
        lambda state: {
            name: tensor for name, tensor in state.items() if name[:4] in ("conv", "wide")
        },
    ],
)
def test_wrappers_are_seen_through(state: dict[str, Tensor], wrap: Any) -> None:
    network = load_published("tiny", wrap(state))
    assert network.get_parameter("point.weight").item() == 3
    assert network.get_parameter("around.weight").sum() == 9
    assert network.get_parameter("point.bias").dtype == torch.float32


def test_our_own_names_are_read_too(state: dict[str, Tensor], tmp_path: Path) -> None:
    ours = load_published("tiny", state)
    torch.save(ours.state_dict(), tmp_path / "w.pt")
    again = load_published("tiny", str(tmp_path / "w.pt"))
    torch.testing.assert_close(again.state_dict(), ours.state_dict())


def test_arguments_reach_the_network(state: dict[str, Tensor]) -> None:
    wide = state | {
        "conv.weight": torch.ones(1, 3, 1, 1),
        "wide.weight": torch.ones(1, 3, 3, 3),
    }
    assert load_published("tiny", wide, in_channels=3).get_parameter("point.weight").shape[1] == 3
    with pytest.raises(ModelError, match="mis-shaped"):
        load_published("tiny", wide)


def test_everything_that_is_wrong_is_listed(state: dict[str, Tensor]) -> None:
    del state["conv.weight"]
    state["conv.bias"] = torch.ones(2, dtype=torch.int64)
    state["wide.weight"][0, 0, 1, 1] = torch.nan
    state["extra.weight"] = torch.ones(1)
    with pytest.raises(ModelError) as error:
        load_published("tiny", {"state_dict": state})
    text = " ".join(str(error.value).split())
    for part in (
        "checkpoint['state_dict'] does not fit tiny",
        "1 missing (our names): point.weight",
        "1 unexpected (published names): extra.weight",
        "1 mis-shaped (our names): point.bias: expected (1,), got (2,)",
        "1 mis-typed (our names): point.bias: expected torch.float32, got torch.int64",
        "1 not finite (our names): around.weight",
    ):
        assert part in text


def test_two_tensors_for_one_place_are_refused(state: dict[str, Tensor]) -> None:
    with pytest.raises(
        ModelError, match=r"1 ambiguous \(.*\):\s+point\.bias: conv\.bias, point\.bias"
    ):
        load_published("tiny", state | {"point.bias": torch.ones(1)})


def test_two_fitting_parts_are_refused(state: dict[str, Tensor]) -> None:
    message = (
        r"2 parts of it fit tiny, checkpoint\['ema'\], checkpoint\['model'\]; name one: --part of"
    )
    with pytest.raises(ModelError, match=message):
        load_published("tiny", {"model": state, "ema": {k: v + 1 for k, v in state.items()}})


def test_long_lists_are_whole(state: dict[str, Tensor]) -> None:
    more = {f"extra{number}": torch.ones(1) for number in range(40)}
    with pytest.raises(ModelError, match=r"40 unexpected \(.*\):\s+extra0\n[\s\S]*extra39\n"):
        load_published("tiny", state | more)


@pytest.mark.parametrize(
    "dtype", [torch.float8_e4m3fn, torch.float8_e8m0fnu, torch.uint16, torch.complex64]
)
def test_types_that_are_not_read_are_named(state: dict[str, Tensor], dtype: torch.dtype) -> None:
    state["conv.bias"] = torch.empty(1, dtype=dtype)
    with pytest.raises(ModelError, match=rf"point\.bias: expected torch\.float32, got {dtype}"):
        load_published("tiny", state)


def test_a_part_is_chosen_by_its_name(state: dict[str, Tensor]) -> None:
    twins = {"model": state, "ema": {name: tensor + 1 for name, tensor in state.items()}}
    for part, weight in (("ema", 4), ("checkpoint['ema']", 4), ("model", 3)):
        network = load_published("tiny", twins, part=part)
        assert network.get_parameter("point.weight").item() == weight
    with pytest.raises(ModelError, match=r"the mapping: expected a part 'mean' with tensors, got"):
        load_published("tiny", twins, part="mean")
    again = {"first": twins, "second": twins | {"ema": dict(state)}}
    with pytest.raises(ModelError, match="2 parts of it fit tiny"):
        load_published("tiny", again, part="ema")


def test_unknown_names_and_arguments_are_refused(state: dict[str, Tensor]) -> None:
    with pytest.raises(ModelError, match="unknown network 'none'; choose one of"):
        load_published("none", state)
    with pytest.raises(ModelError, match=r"tiny: .*'depth'"):
        load_published("tiny", state, depth=3)


def swin_state() -> dict[str, Tensor]:
    """A state dict with the names of torchvision's Video Swin-T, of SGMP-UNet's shapes."""
    names = {}
    for published, entry in golden("sgmp_unet").inventory.items():
        level, _, rest = published.removeprefix("encoder.model.").partition(".temporal_layer.")
        if published.startswith("encoder.norm."):
            names[published.removeprefix("encoder.")] = entry
        elif rest and level == "0":
            names[f"patch_embed.{rest.removeprefix('0.')}"] = entry
        elif rest and level == "1":
            names[f"features.0.{rest}"] = entry
        elif rest:
            half, _, inner = rest.partition(".")
            names[f"features.{2 * int(level) - 3 + int(half)}.{inner}"] = entry
    state = {name: torch.rand(entry["shape"]) for name, entry in names.items()}
    return state | {"head.weight": torch.rand(400, 768), "head.bias": torch.rand(400)}


@pytest.mark.slow
def test_the_encoder_of_sgmp_unet_starts_from_published_weights() -> None:
    network = build_network("sgmp_unet")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    state = swin_state()
    assert load_backbone(network, state) is network
    after = network.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name.partition(".")[0] for name in changed} == {"embedding", "temporal", "norm"}
    assert changed == {
        name for name in before if name.startswith(("embedding.", "temporal.", "norm."))
    }
    torch.testing.assert_close(after["embedding.proj.weight"], state["patch_embed.proj.weight"])
    assert network.training
    kept = {name: value for name, value in state.items() if name.startswith("norm.")}
    with pytest.raises(
        ModelError, match=r"\d+ missing \(our names\):[\s\S]*embedding\.proj\.weight"
    ):
        load_backbone(network, kept)


def test_only_sgmp_unet_has_a_published_encoder() -> None:
    with pytest.raises(ModelError, match=r"with a published encoder, .* got ACM"):
        load_backbone(build_network("acm"), {"w": torch.zeros(1)})

from pathlib import Path

import pytest
import torch
from torch import Tensor

from irstd.errors import DataError, ModelError
from irstd.inference.weights import load_model, save_model
from irstd.stages.import_weights import has_facts, import_weights, open_weights, parse_arguments
from irstd.tracking.journal import file_sha256
from tests.tiny_network import register_tiny, tiny_facts, tiny_network

KEYS = ((r"^conv\.", "point."),)


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The checkpoint of the authors of `tiny`, for three channels."""
    register_tiny(monkeypatch, published_keys=KEYS, in_channels=3, mean=(0.4, 0.5, 0.6))
    state: dict[str, Tensor] = {
        "model.conv.weight": torch.full((1, 3, 1, 1), 2.0),
        "model.conv.bias": torch.zeros(1),
        "model.around.weight": torch.zeros(1, 3, 3, 3),
    }
    path = tmp_path / "published" / "best.pth.tar"
    path.parent.mkdir()
    torch.save({"state_dict": state, "epoch": 7}, path)
    return path


def test_an_imported_file_is_complete(published: Path, tmp_path: Path) -> None:
    output = tmp_path / "weights" / "tiny.safetensors"
    facts = import_weights(tmp_path, "tiny", published, output, ["gain=4"])
    network, stored = load_model(output)
    assert stored == facts
    assert network.get_parameter("point.weight").flatten().tolist() == [2, 2, 2]
    assert facts.arguments == {"in_channels": 3, "gain": 4.0}
    assert facts.preprocessing.mean == (0.4, 0.5, 0.6)
    assert facts.threshold == 0.5
    assert facts.provenance == {
        "origin": "published",
        "file": "best.pth.tar",
        "sha256": file_sha256(published),
    }
    assert has_facts(output)
    assert not has_facts(published)


def test_nothing_is_replaced_without_being_asked(published: Path, tmp_path: Path) -> None:
    output = tmp_path / "w.safetensors"
    output.write_text("precious")
    with pytest.raises(DataError, match="exists; choose another name, or repeat with --overwrite"):
        import_weights(tmp_path, "tiny", published, output)
    assert output.read_text() == "precious"
    with pytest.raises(ModelError, match="no such weight file"):
        import_weights(tmp_path, "tiny", tmp_path / "none.pth", output, overwrite=True)
    assert output.read_text() == "precious"
    import_weights(tmp_path, "tiny", published, output, overwrite=True)
    assert has_facts(output)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("artifacts/smoke/tiny/model.safetensors", "artifacts/ belongs to the stages"),
        ("w.pth", r"expected a name that ends with \.safetensors"),
        ("published", "expected the name of a file to write, got a folder"),
    ],
)
def test_wrong_outputs_are_refused(
    published: Path, tmp_path: Path, output: str, message: str
) -> None:
    with pytest.raises((DataError, ModelError), match=message):
        import_weights(tmp_path, "tiny", published, tmp_path / output)


def test_our_own_file_is_not_imported_again(published: Path, tmp_path: Path) -> None:
    import_weights(tmp_path, "tiny", published, tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match="is a weight file of ours already"):
        import_weights(tmp_path, "tiny", tmp_path / "w.safetensors", tmp_path / "v.safetensors")


def test_any_weight_file_is_opened(published: Path, tmp_path: Path) -> None:
    save_model(tmp_path / "w.safetensors", tiny_network(), tiny_facts())
    assert open_weights(tmp_path / "w.safetensors", None)[1] == tiny_facts()
    assert open_weights(tmp_path / "w.safetensors", "tiny")[1] == tiny_facts()
    assert open_weights(published, "tiny")[1].provenance["origin"] == "published"
    with pytest.raises(ModelError, match="add --network NAME"):
        open_weights(published, None)
    with pytest.raises(ModelError, match="expected weights of ispanet, got weights of tiny"):
        open_weights(tmp_path / "w.safetensors", "ispanet")
    with pytest.raises(ModelError, match="no such weight file"):
        open_weights(tmp_path / "none", None)


def test_one_of_two_fitting_parts_is_chosen(published: Path, tmp_path: Path) -> None:
    state = torch.load(published)["state_dict"]
    mean = {name: tensor + 1 for name, tensor in state.items()}
    torch.save({"state_dict": state, "ema": mean}, published)
    with pytest.raises(ModelError, match=r"2 parts of it fit .*--part of `irstd import-weights`"):
        open_weights(published, "tiny")
    output = tmp_path / "w.safetensors"
    for part, weight in (("ema", 3), ("checkpoint['state_dict']", 2)):
        facts = import_weights(tmp_path, "tiny", published, output, overwrite=True, part=part)
        network, _ = load_model(output)
        assert network.get_parameter("point.weight").flatten().tolist() == [weight] * 3
        assert facts.provenance["part"] == part
    with pytest.raises(ModelError, match=r"a part 'net' .*got checkpoint\['state_dict'\], check"):
        import_weights(tmp_path, "tiny", published, output, overwrite=True, part="net")


def test_arguments_have_the_types_of_the_constructor() -> None:
    settings = ["in_channels=3", "width=32", "variant=C", "topdown=P"]
    assert parse_arguments("ispanet", settings) == {
        "in_channels": 3,
        "width": 32,
        "variant": "C",
        "topdown": "P",
    }
    assert parse_arguments("ispanet", []) == {}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["width"], r"--set 'width': expected KEY=VALUE.*in_channels, width, variant, topdown"),
        (["depth=3"], r"--set 'depth=3': expected KEY=VALUE"),
        (["width=16", "width=32"], r"--set 'width=32': .*each KEY once"),
        (["width=wide"], r"--set 'width=wide': .*integer.*got 'wide'"),
        (["variant=E"], r"--set 'variant=E': .*'A', 'B', 'C' or 'D'"),
    ],
)
def test_wrong_arguments_are_refused(settings: list[str], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        parse_arguments("ispanet", settings)

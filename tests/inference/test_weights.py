import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from irstd.errors import ModelError
from irstd.inference.weights import FACTS_KEY, ModelFacts, load_model, save_model
from tests.tiny_network import register_tiny, tiny_facts, tiny_network


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    register_tiny(monkeypatch)
    path = tmp_path / "new" / "model.safetensors"
    save_model(path, tiny_network(), tiny_facts())
    return path


def rewrite(path: Path, metadata: dict[str, str] | None) -> None:
    save_file(load_file(path), path, metadata=metadata)


def test_a_saved_network_answers_as_before(saved: Path) -> None:
    network, facts = load_model(saved)
    assert facts == tiny_facts()
    assert not network.training
    image = torch.rand(2, 1, 16, 24)
    torch.testing.assert_close(network(image), tiny_network()(image), rtol=0, atol=0)
    assert [path.name for path in saved.parent.iterdir()] == ["model.safetensors"]


def test_equal_networks_give_equal_files(saved: Path) -> None:
    first = saved.read_bytes()
    save_model(saved, tiny_network(), tiny_facts())
    assert saved.read_bytes() == first


def test_arguments_keep_their_types(tmp_path: Path) -> None:
    arguments: dict[str, int | float | bool | str] = {"a": 1, "b": 1.0, "c": True, "d": "B"}
    facts = replace(tiny_facts(fill=(8, 16)), arguments=arguments)
    read = ModelFacts.from_json(facts.to_json(), "here").arguments
    assert read == arguments
    assert [type(value) for value in read.values()] == [int, float, bool, str]


def test_a_missing_file_says_who_writes_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.safetensors: no such weight file; `irstd train`"):
        load_model(tmp_path / "none.safetensors")


@pytest.mark.parametrize("kept", [0, 7, 200])
def test_a_truncated_file_is_refused(saved: Path, kept: int) -> None:
    saved.write_bytes(saved.read_bytes()[:kept])
    with pytest.raises(ModelError, match="not a whole safetensors file"):
        load_model(saved)


def test_a_file_without_facts_is_refused(saved: Path) -> None:
    rewrite(saved, {"format": "pt"})
    with pytest.raises(ModelError, match="without the metadata key 'irstd'"):
        load_model(saved)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"threshold": 1.0}, r"model\.safetensors: threshold must lie between 0 and 1, got 1"),
        ({"threshold": "0.5"}, "threshold: Input should be a valid number"),
        ({"extra": 1}, "extra: Unexpected keyword argument"),
        ({"network": "none"}, "unknown network 'none'; choose one of"),
        ({"arguments": {"depth": 3}}, "tiny: .*unexpected keyword argument 'depth'"),
        ({"arguments": {"in_channels": 3}}, "(?s)tensors do not fit tiny .*size mismatch"),
    ],
)
def test_faulty_facts_are_named(saved: Path, change: dict[str, object], message: str) -> None:
    facts = json.loads(tiny_facts().to_json()) | change
    rewrite(saved, {FACTS_KEY: json.dumps(facts)})
    with pytest.raises(ModelError, match=message):
        load_model(saved)


def test_a_missing_fact_is_named(saved: Path) -> None:
    facts = json.loads(tiny_facts().to_json())
    del facts["preprocessing"]["std"]
    rewrite(saved, {FACTS_KEY: json.dumps(facts)})
    with pytest.raises(ModelError, match=r"preprocessing\.std: Field required"):
        load_model(saved)


def test_a_network_that_changed_is_refused(saved: Path) -> None:
    tensors = load_file(saved)
    del tensors["around.weight"]
    save_file(tensors, saved, metadata={FACTS_KEY: tiny_facts().to_json()})
    with pytest.raises(ModelError, match=r"(?s)Missing key.*around\.weight.*train again"):
        load_model(saved)

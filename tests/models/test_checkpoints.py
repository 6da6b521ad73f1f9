import argparse
import collections
import contextlib
import io
import json
import pickle
import pickletools
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from irstd.errors import ModelError
from irstd.models.checkpoints import find_tensors
from irstd.models.pickles import Unknown, read_pickle

FORMATS = [pytest.param(True, id="archive"), pytest.param(False, id="stream")]


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Sequential(nn.Linear(3, 2, bias=False))
    )


def save(value: Any, path: Path, archive: bool = True) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=archive)
    return path


def assert_same(got: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert got.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(got[name], tensor, rtol=0, atol=0)


@pytest.mark.parametrize("archive", FORMATS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_a_state_dict_is_read(tmp_path: Path, archive: bool, dtype: torch.dtype) -> None:
    state = network().to(dtype).state_dict()
    found = find_tensors(save(state, tmp_path / "weights.pth.tar", archive))
    assert list(found) == ["checkpoint"]
    assert_same(found["checkpoint"], state)


@pytest.mark.parametrize("archive", FORMATS)
def test_views_keep_their_values(tmp_path: Path, archive: bool) -> None:
    base = torch.arange(24.0).reshape(4, 6)
    state = {"row": base[1], "turned": base.T, "inner": base[1:3, ::2], "one": torch.tensor(3.0)}
    assert_same(find_tensors(save(state, tmp_path / "w.pt", archive))["checkpoint"], state)


@pytest.mark.parametrize("archive", FORMATS)
def test_a_whole_checkpoint_is_searched(tmp_path: Path, archive: bool) -> None:
    model = network()
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.zeros(1, 1, 5, 5)).sum().backward()
    optimizer.step()
    checkpoint = {
        "epoch": 3,
        "args": argparse.Namespace(lr=1e-3, path=Path("somewhere"), device=torch.device("cpu")),
        "best": np.float64(0.7),
        "history": collections.defaultdict(list, loss=[np.float32(1.0)]),
        "nested": {"state_dict": collections.OrderedDict(model.state_dict())},
        "optimizer": optimizer.state_dict(),
    }
    found = find_tensors(save(checkpoint, tmp_path / "full.pth", archive))
    assert list(found) == ["checkpoint['nested']['state_dict']"]
    assert_same(found["checkpoint['nested']['state_dict']"], model.state_dict())


@pytest.mark.parametrize("archive", FORMATS)
def test_a_pickled_network_gives_its_state_dict(tmp_path: Path, archive: bool) -> None:
    model = network()
    model.register_buffer("table", torch.ones(2), persistent=False)
    path = save({"net": nn.DataParallel(model)}, tmp_path / "net.pkl", archive)
    found = find_tensors(path)
    expected = {f"module.{name}": value for name, value in model.state_dict().items()}
    assert_same(found["checkpoint['net']"], expected)


def test_safetensors_and_mappings_are_read(tmp_path: Path) -> None:
    state = network().state_dict()
    save_file(state, tmp_path / "w.safetensors")
    assert_same(find_tensors(tmp_path / "w.safetensors")["the file"], state)
    arrays = {name: tensor.numpy() for name, tensor in state.items()}
    assert_same(find_tensors({"state_dict": arrays})["checkpoint['state_dict']"], state)
    big_endian = find_tensors({"w": np.arange(3, dtype=">f4")})["checkpoint"]["w"]
    torch.testing.assert_close(big_endian, torch.arange(3.0))


class Call:
    """Pickled as a call that whoever loads the pickle makes."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def gadgets(marker: Path) -> dict[str, Any]:
    import importlib
    import os

    touch = f"open({str(marker)!r}, 'w').close()"
    inner = io.BytesIO()
    torch.save({"w": Call(os.system, f"touch {marker}")}, inner)
    return {
        "system": Call(os.system, f"touch {marker}"),
        "eval": Call(eval, touch),
        "exec": Call(exec, touch),
        "process": Call(subprocess.check_call, ["touch", str(marker)]),
        "inner torch.load": Call(torch.storage._load_from_bytes, inner.getvalue()),
        "method": Call(getattr, Call(importlib.import_module, "os"), "system"),
        "apply": Call(map, os.system, [f"touch {marker}"]),
    }


@pytest.mark.parametrize("archive", FORMATS)
@pytest.mark.parametrize("name", gadgets(Path("x")))
def test_nothing_in_a_file_is_run(tmp_path: Path, archive: bool, name: str) -> None:
    marker, state = tmp_path / "marker", network().state_dict()
    path = save({"bait": gadgets(marker)[name], "model": state}, tmp_path / "evil.pth", archive)
    assert_same(find_tensors(path)["checkpoint['model']"], state)
    with pytest.raises(ModelError, match="expected named tensors"):
        find_tensors(save(gadgets(marker)[name], path, archive))
    assert not marker.exists()


def test_the_gadgets_are_not_harmless(tmp_path: Path) -> None:
    for name in ("system", "eval", "inner torch.load"):
        marker = tmp_path / name.replace(" ", "_")
        torch.load(save(gadgets(marker)[name], tmp_path / "evil.pth"), weights_only=False)
        assert marker.exists(), name


HANDMADE = {
    "INST": b"(S'touch {}'\nios\nsystem\n.",
    "OBJ": b"(cos\nsystem\nS'touch {}'\no.",
    "EXT1": b"\x82\x01.",
    "BUILD of a class": b"ccollections\nOrderedDict\n}(S'x'\nK\x01ub.",
    "call of a number": b"K\x01(tR.",
    "memo of 4 G entries": b"K\x01r\xff\xff\xff\xff.",
    "2^60 bytes": b"\x8e" + struct.pack("<Q", 2**60) + b".",
    "frame of 2^60 bytes": b"\x80\x04\x95" + struct.pack("<Q", 2**60) + b"K\x01.",
    "deep tuple as key": b"}(" + b")" + b"\x85" * 300_000 + b"K\x01u.",
    "deep tuple as class": b")" + b"\x85" * 300_000 + b"S'x'\n\x93.",
    "deep list": b"]" * 300_000 + b"a" * 299_999 + b".",
    "items without mark": b"K\x01u.",
    "empty": b"",
    "no end": b"K\x01",
    "stack": b"R.",
    "tensor of texts": b"ctorch._utils\n_rebuild_tensor_v2\n(S'a'\nS'b'\nS'c'\nS'd'\ntR.",
    "tensor without storage": b"ctorch._utils\n_rebuild_tensor_v2\n(NK\x00))tR.",
    "parameter of nothing": b"ctorch._utils\n_rebuild_parameter\n)R.",
    "reference to a text": b"S'x'\nQ.",
    "absurd storage": b"(S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\nL9999999999999999L\ntQ.",
}


@pytest.mark.parametrize("name", HANDMADE)
def test_handmade_pickles_do_no_harm(tmp_path: Path, name: str) -> None:
    marker = tmp_path / "marker"
    content = HANDMADE[name].replace(b"{}", str(marker).encode())
    with contextlib.suppress(ModelError):
        read_pickle(io.BytesIO(content), "file")
    assert not marker.exists()
    assert not hasattr(collections.OrderedDict, "x")


def test_protocols_give_the_same() -> None:
    value = {
        "texts": ["a", "ä" * 300],
        "numbers": [0, -1, 300, 70_000, 2**40, 1.5, True, None],
        "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
        "ordered": dict(collections.OrderedDict(a=1)),
    }
    for protocol in range(2, 6):
        assert read_pickle(io.BytesIO(pickle.dumps(value, protocol)), "file").value == value
    assert read_pickle(io.BytesIO(pickle.dumps(b"bytes" * 100)), "file").value == b"bytes" * 100
    read = read_pickle(io.BytesIO(pickle.dumps({3: {1, 2}, (1, 2): 3, "f": 4})), "file").value
    assert read == {3: [1, 2], "f": 4}


def test_an_unknown_object_keeps_its_attributes() -> None:
    read = read_pickle(io.BytesIO(pickle.dumps(argparse.Namespace(lr=0.1))), "file").value
    assert isinstance(read, Unknown)
    assert (read.name, read.state) == ("argparse.Namespace", {"lr": 0.1})


@pytest.mark.parametrize("archive", FORMATS)
def test_a_cut_file_is_refused(tmp_path: Path, archive: bool) -> None:
    path = save(network().state_dict(), tmp_path / "w.pth", archive)
    whole = path.read_bytes()
    for end in [*range(1, len(whole), len(whole) // 40), len(whole) - 1]:
        path.write_bytes(whole[:end])
        with pytest.raises(ModelError, match=r"w\.pth"):
            find_tensors(path)


@pytest.mark.parametrize("archive", FORMATS)
def test_a_changed_byte_gives_tensors_or_a_message(tmp_path: Path, archive: bool) -> None:
    path = save(network().state_dict(), tmp_path / "w.pth", archive)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(whole), 400):
        changed = bytearray(whole)
        changed[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        with contextlib.suppress(ModelError):
            find_tensors(path)


def change_pickle(path: Path, change: Callable[[bytes], bytes], **options: Any) -> Path:
    """Write an archive of torch.save again with another pickle in it."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in members.items():
            archive.writestr(name, change(content) if name.endswith("data.pkl") else content)
    return path


def number(value: int) -> bytes:
    """LONG4, an integer of any size."""
    content = pickle.encode_long(value)
    return b"\x8b" + struct.pack("<i", len(content)) + content


FROM_TO = r"at most 8 axes, with offset, sizes and strides from 0 to 4611686018427387904"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"K\x05K\x04\x86", b"K\x05K\x09\x86", "does not fit its storage of 20 numbers"),  # shape
        (b"K\x04K\x01\x86", b"K\x09K\x01\x86", "does not fit its storage of 20 numbers"),  # strides
        (b"K\x14", b"K\x15", "expected 21 numbers"),
        (b"FloatStorage", b"OtherStorage", "expected numbers of torch.FloatStorage"),
        (b"K\x04K\x01\x86", b"K\x04J\xff\xff\xff\xff\x86", FROM_TO),  # a negative stride
        (b"K\x05K\x04\x86", b"\x8a\x08" + b"\xff" * 7 + b"\x7fK\x04\x86", FROM_TO),
        (b"K\x04K\x01\x86", b"K\x04" + number(2**70) + b"\x86", FROM_TO),
        (b"K\x05K\x04\x86", number(10**5000) + b"K\x04\x86", FROM_TO),
        (b"K\x00K\x05", number(10**5000) + b"K\x05", FROM_TO),  # offset
        (b"K\x05K\x04\x86", b"(" + number(2**2000) * 20_000 + b"t", "got 20000 sizes and 2"),
    ],
)
def test_tensors_stay_inside_their_storage(
    tmp_path: Path, old: bytes, new: bytes, message: str
) -> None:
    path = save({"w": torch.zeros(5, 4)}, tmp_path / "w.pth")

    def change(content: bytes) -> bytes:
        assert old in content, pickletools.dis(content)
        return content.replace(old, new)

    with pytest.raises(ModelError, match=message):
        find_tensors(change_pickle(path, change))


def test_keys_of_storages_are_texts(tmp_path: Path) -> None:
    path = save({"w": torch.zeros(5, 4)}, tmp_path / "w.pth", archive=False)
    content = path.read_bytes()
    start = content.index(b"\x80\x02]q", content.index(b"FloatStorage"))
    end = content.index(b".", start)
    path.write_bytes(content[:start] + b"]" + number(10**5000) + b"a" + content[end:])
    with pytest.raises(ModelError, match="list of storages is not whole"):
        find_tensors(path)


@pytest.mark.parametrize("dtype", ["F8_E8M0", "F4", "F6_E2M3"])
def test_numbers_that_safetensors_cannot_give_are_named(tmp_path: Path, dtype: str) -> None:
    size = 3 if dtype == "F6_E2M3" else 4
    numbers = 8 if dtype == "F4" else 4
    header = json.dumps({"w": {"dtype": dtype, "shape": [numbers], "data_offsets": [0, size]}})
    content = struct.pack("<Q", len(header)) + header.encode() + bytes(size)
    (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match=f"has numbers of type '{dtype}', which are not read"):
        find_tensors(tmp_path / "w.safetensors")


@pytest.mark.parametrize("archive", FORMATS)
def test_tensors_with_attributes_are_read(tmp_path: Path, archive: bool) -> None:
    state = {
        "plain": torch.ones(2),
        "weight": torch.arange(3.0),
        "bias": nn.Parameter(torch.ones(1)),
    }
    state["weight"].decay = 0.1  # type: ignore[attr-defined]
    state["bias"].decay = 0.1  # type: ignore[attr-defined]
    assert_same(find_tensors(save(state, tmp_path / "w.pth", archive))["checkpoint"], state)


@pytest.mark.parametrize(
    ("tensor", "function"),
    [
        (torch.ones(2, dtype=torch.uint16), "_rebuild_tensor_v3"),
        (torch.eye(2).to_sparse(), "_rebuild_sparse_tensor"),
    ],
)
def test_tensors_that_are_not_read_are_named(tmp_path: Path, tensor: Tensor, function: str) -> None:
    path = save({"net": {"weight": torch.ones(1), "bias": tensor}}, tmp_path / "w.pth")
    message = rf"w\.pth: checkpoint\['net'\]: .*'bias' \(torch\._utils\.{function}\)"
    with pytest.raises(ModelError, match=message):
        find_tensors(path)


def test_deep_dictionaries_are_refused(tmp_path: Path) -> None:
    state: dict[str, Any] = {"w": torch.ones(1)}
    for _ in range(64):
        state = {"a": state}
    assert len(find_tensors(save(state, tmp_path / "w.pth"))) == 1
    with pytest.raises(ModelError, match="at most 64 deep"):
        find_tensors(save({"a": state}, tmp_path / "w.pth"))


def test_a_compressed_archive_is_refused(tmp_path: Path) -> None:
    path = save({"w": torch.zeros(1000)}, tmp_path / "w.pth")
    packed = change_pickle(path, lambda content: content, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(ModelError, match="members without compression"):
        find_tensors(packed)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "no weights")
    with pytest.raises(ModelError, match=r"expected a data\.pkl"):
        find_tensors(path)


def module(**state: Any) -> Unknown:
    return Unknown("torch.nn.Module", (), {"_parameters": {}, "_buffers": {}, **state})


@pytest.mark.parametrize("name", ["itself", "twice"])
def test_a_network_that_contains_itself_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    root = module()
    if name == "itself":
        root.state["_modules"] = {"again": root}
    else:
        for _ in range(60):
            root = module(_modules={"a": root, "b": root})
    monkeypatch.setattr(
        "irstd.models.checkpoints.open_stream", lambda _: (root, lambda _value: None)
    )
    path = save({}, tmp_path / "w.pth", archive=False)
    with pytest.raises(ModelError, match="at most 10000 modules, 64 deep"):
        find_tensors(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    with pytest.raises(ModelError, match="no such weight file"):
        find_tensors(path)
    for content, message in (
        (b"", "begins with b''"),
        (b"GIF89a and more of it", r"expected a file of torch\.save .* begins with b'GIF89a a'"),
        (pickle.dumps({"w": 1}), r"a pickle, but not of torch\.save"),
        (struct.pack("<Q", 2**50) + b"{}", "not a whole safetensors file"),
    ):
        path.write_bytes(content)
        with pytest.raises(ModelError, match=message):
            find_tensors(path)
    with pytest.raises(ModelError, match=r"expected named tensors .* got none"):
        find_tensors({"epoch": 3, "numbered": {0: torch.zeros(1)}})


def test_reading_does_not_import_what_a_file_names(tmp_path: Path) -> None:
    state = {"w": torch.zeros(1)}
    path = save({"model": state, "config": Call(collections.Counter)}, tmp_path / "w.pth")

    def rename(content: bytes) -> bytes:
        return content.replace(b"ccollections\nCounter\n", b"cantigravity\nsomething\n")

    find_tensors(change_pickle(path, rename))
    assert "antigravity" not in sys.modules

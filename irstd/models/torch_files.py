"""Files of torch.save: what their pickles stand for, and tensors of the numbers beside them."""

import io
import math
import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from irstd.errors import ModelError
from irstd.models.pickles import Storage, StoredTensor, read_pickle

ZIP, STREAM = b"PK\x03\x04", b"\x80"
"""First bytes of the archive, and of the older form, a row of pickles."""
TORCH = (0x1950A86A20F9469CFC6C, 1001)
"""Magic number and version of the older form."""
DTYPES = {
    "torch.FloatStorage": torch.float32,
    "torch.DoubleStorage": torch.float64,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.LongStorage": torch.int64,
    "torch.IntStorage": torch.int32,
    "torch.ShortStorage": torch.int16,
    "torch.CharStorage": torch.int8,
    "torch.ByteStorage": torch.uint8,
    "torch.BoolStorage": torch.bool,
}
MOST_AXES, MOST_NUMBERS = 8, 2**62
LITTLE_ENDIAN = "expected little-endian numbers; load and save it on a little-endian machine"
DAMAGED = (
    zipfile.BadZipFile,
    struct.error,
    EOFError,
    KeyError,
    OSError,
    RuntimeError,
    ValueError,
)
"""What `zipfile` raises for archives that are cut, changed, encrypted or of another system."""


class Loader:
    """Makes tensors of storages, each read once.

    Args:
        path: the file, for messages.
        read: the bytes of a storage; KeyError where there is none.
    """

    def __init__(self, path: Path, read: Callable[[Storage], bytes | memoryview]) -> None:
        self._path, self._read = path, read
        self._flat: dict[Storage, Tensor] = {}

    def __call__(self, value: Any) -> Tensor | None:
        """The tensor that a value of the pickle stands for; None if it is none.

        Raises:
            ModelError: it reaches beyond its storage, or the storage is missing or of another size.
        """
        if not isinstance(value, StoredTensor):
            return None
        flat = self._storage(value.storage)
        shape, strides, offset = value.shape, value.strides, value.offset
        self._check_range(value)
        last = offset + sum(
            (size - 1) * stride for size, stride in zip(shape, strides, strict=True)
        )
        count = math.prod(shape)
        if count > flat.numel() or (count and last >= flat.numel()):
            raise ModelError(
                f"{self._path}: a tensor of shape {shape} at {offset} with strides {strides} does "
                f"not fit its storage of {flat.numel()} numbers; copy the file again"
            )
        return flat.as_strided(shape, strides, offset) if count else flat[:0]

    def _check_range(self, value: StoredTensor) -> None:
        """Refuse what would be long to compute, or to print in a message."""
        axes, strides = len(value.shape), len(value.strides)
        numbers = (value.offset, *value.shape, *value.strides)
        if not axes == strides <= MOST_AXES or not all(0 <= n <= MOST_NUMBERS for n in numbers):
            raise ModelError(
                f"{self._path}: expected a tensor of at most {MOST_AXES} axes, with offset, sizes "
                f"and strides from 0 to {MOST_NUMBERS}, got {axes} sizes and {strides} strides, or "
                "numbers outside that range; copy the file again"
            )

    def _storage(self, storage: Storage) -> Tensor:
        if storage in self._flat:
            return self._flat[storage]
        dtype = _dtype(storage, self._path)
        content = bytearray(self._read(storage))
        if len(content) != storage.count * dtype.itemsize:
            raise ModelError(
                f"{self._path}: expected {storage.count} numbers of {dtype} in storage "
                f"{storage.key!r}, got {len(content)} bytes; copy the file again"
            )
        flat = torch.frombuffer(content, dtype=dtype) if content else torch.empty(0, dtype=dtype)
        self._flat[storage] = flat
        return flat


@contextmanager
def open_archive(path: Path) -> Iterator[tuple[Any, Loader]]:
    """The content of an archive, `NAME/data.pkl` and `NAME/data/KEY` for each storage.

    Args:
        path: the file.

    Yields:
        What the pickle stands for, and what makes tensors of it, inside the block only.

    Raises:
        ModelError: not a whole archive of torch.save.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            root = _root(path, archive.infolist())
            order = f"{root}byteorder"
            if order in archive.namelist() and archive.read(order) != b"little":
                raise ModelError(f"{path}: {LITTLE_ENDIAN}")
            content = read_pickle(io.BytesIO(archive.read(f"{root}data.pkl")), str(path))
            loader = Loader(path, lambda storage: archive.read(f"{root}data/{storage.key}"))
            yield content.value, loader
    except DAMAGED as error:
        raise ModelError(
            f"{path}: a damaged archive of torch.save ({error}); copy it again"
        ) from error


def open_stream(path: Path) -> tuple[Any, Loader]:
    """The content of the older form: five pickles, then the storages.

    Args:
        path: the file.

    Returns:
        As for `open_archive`.

    Raises:
        ModelError: not a whole file of torch.save.
    """
    content, where = path.read_bytes(), str(path)
    file = io.BytesIO(content)
    if not all(read_pickle(file, where).value == expected for expected in TORCH):
        raise ModelError(
            f"{path}: a pickle, but not of torch.save; load it where it comes from, and save the "
            "state dict with torch.save or safetensors"
        )
    machine = read_pickle(file, where).value
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise ModelError(f"{path}: {LITTLE_ENDIAN}")
    saved, keys = read_pickle(file, where), read_pickle(file, where).value
    named = isinstance(keys, list) and all(isinstance(key, str) for key in keys)
    if not named or sorted(saved.storages) != sorted(keys):
        raise ModelError(f"{path}: its list of storages is not whole; copy the file again")
    parts = _storages(path, content, file.tell(), [saved.storages[key] for key in keys])
    return saved.value, Loader(path, lambda storage: parts[storage.key])


def _root(path: Path, members: list[zipfile.ZipInfo]) -> str:
    """Where `data.pkl` stands. Unpacked members together are no longer than the file."""
    pickles = [item.filename for item in members if item.filename.rpartition("/")[2] == "data.pkl"]
    packed = any(item.compress_type != zipfile.ZIP_STORED for item in members)
    if packed or sum(item.file_size for item in members) > path.stat().st_size or not pickles[:1]:
        raise ModelError(
            f"{path}: a zip archive, but not as torch.save writes it: expected a data.pkl and "
            "members without compression; unpack the archive and name the weight file in it"
        )
    return pickles[0].removesuffix("data.pkl")


def _storages(
    path: Path, content: bytes, start: int, storages: list[Storage]
) -> dict[str, memoryview]:
    """The bytes of each storage: a count of numbers (i64), then the numbers."""
    parts: dict[str, memoryview] = {}
    for storage in storages:
        begin = start + 8
        end = begin + storage.count * _dtype(storage, path).itemsize
        count = content[start:begin]
        if count != struct.pack("<q", storage.count) or end > len(content):
            raise ModelError(
                f"{path}: expected {storage.count} numbers of storage {storage.key!r} at byte "
                f"{start}, but the file is cut or damaged there: copy it again"
            )
        parts[storage.key] = memoryview(content)[begin:end]
        start = end
    return parts


def _dtype(storage: Storage, path: Path) -> torch.dtype:
    if storage.kind not in DTYPES:
        raise ModelError(f"{path}: expected numbers of {', '.join(DTYPES)}, got {storage.kind}")
    return DTYPES[storage.kind]

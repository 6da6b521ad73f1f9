"""Pickles read as data: nothing in them is imported, called or run.

A pickle is a program that names functions and calls them, so loading one from a stranger is running
the stranger's code. Here `pickletools` decodes its instructions, and the few that build containers
are followed; a function or class is never looked up: it stays a name. What a call of it would give
is an `Unknown` that keeps the name, the arguments and the state, except for the calls that torch
writes for tensors, which have a meaning here (`CALLS`).
"""

import io
import pickletools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from irstd.errors import ModelError


@dataclass(eq=False)
class Unknown:
    """An object whose class is not loaded, or that class or function itself.

    Attributes:
        name: `module.class` or `module.function`.
        arguments: of the call that would make the object.
        state: what would be put into it afterwards; for most objects the dictionary of attributes.
    """

    name: str
    arguments: tuple[Any, ...] = ()
    state: Any = None


@dataclass(frozen=True)
class Storage:
    """Numbers that stand outside the pickle.

    Attributes:
        kind: torch's class of it, such as `torch.FloatStorage`; says the dtype.
        key: its name in the file.
        count: how many numbers.
    """

    kind: str
    key: str
    count: int


@dataclass(frozen=True)
class StoredTensor:
    """A tensor as a view of a storage; lengths count numbers, not bytes. Nothing is checked yet."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class Pickle:
    """What a pickle stands for.

    Attributes:
        value: numbers, strings, dictionaries (without keys that are neither strings nor whole
            numbers), lists (sets too), tuples, `StoredTensor`, `Storage` and `Unknown`.
        storages: by key, everything outside that it refers to.
    """

    value: Any
    storages: dict[str, Storage]


def read_pickle(file: io.BytesIO, where: str) -> Pickle:
    """Follow one pickle.

    Args:
        file: at its beginning; left behind its end.
        where: the file, for messages.

    Raises:
        ModelError: not a whole pickle, or one that no checkpoint contains.
    """
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(file):
            if opcode.name == "STOP":
                return Pickle(machine.pop(), machine.storages)
            machine.step(opcode.name, argument)
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, MemoryError) as error:
        raise ModelError(
            f"{where}: expected a whole pickle as torch.save writes it, got a damaged one "
            f"({type(error).__name__}: {error}); copy the file again"
        ) from error
    raise ModelError(f"{where}: its pickle breaks off; copy the file again")


class _Machine:
    """The stack machine that pickles are written for, without its calls."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.outer: list[list[Any]] = []  # stacks below the marks
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, Storage] = {}

    def step(self, name: str, argument: Any) -> None:
        """Follow one instruction."""
        if VALUES.fullmatch(name):
            self.stack.append(argument)
        elif name in EMPTY:
            self.stack.append(EMPTY[name]())
        elif name in ACTIONS:
            ACTIONS[name](self, argument)
        elif name not in WITHOUT_MEANING:
            raise ValueError(f"instruction {name}, which torch.save never writes")

    def pop(self) -> Any:
        """The top of the stack, removed."""
        return self.stack.pop()

    def pop_marked(self) -> list[Any]:
        """Everything above the last mark, removed with it."""
        items, self.stack = self.stack, self.outer.pop()
        return items

    def mark(self, _: Any) -> None:
        self.outer.append(self.stack)
        self.stack = []

    def get(self, key: int) -> None:
        self.stack.append(self.memo[key])

    def put(self, key: int | None) -> None:
        self.memo[len(self.memo) if key is None else key] = self.stack[-1]

    def tuple_of(self, items: Iterable[Any]) -> None:
        self.stack.append(tuple(items))

    def last_tuple(self, count: int) -> None:
        items = self.stack[-count:]
        if len(items) < count:
            raise IndexError("tuple of more than there is")
        self.stack[-count:] = [tuple(items)]

    def extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif not isinstance(target, Unknown):  # what an unknown list contains is no weight
            raise TypeError(f"items for a {type(target).__name__}")

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, dict):
            target.update(_entries(zip(items[::2], items[1::2], strict=True)))
        elif not isinstance(target, Unknown):
            raise TypeError(f"entries for a {type(target).__name__}")

    def name_global(self) -> None:
        name, module = self.pop(), self.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise TypeError("a name that is no string")
        self.stack.append(Unknown(f"{module}.{name}"))

    def call(self, arguments: Any) -> None:
        function = self.pop()
        if isinstance(function, Unknown) and function.name == WITH_ATTRIBUTES:
            function, _, arguments, *_ = arguments
        if not isinstance(function, Unknown) or not isinstance(arguments, tuple):
            raise TypeError(f"call of a {type(function).__name__}")
        known = CALLS.get(function.name)
        result = Unknown(function.name, arguments) if known is None else known(*arguments)
        self.stack.append(result)

    def build(self, state: Any) -> None:
        target = self.stack[-1]
        if isinstance(target, Unknown):  # attributes of a dictionary or a tensor are no weights
            target.state = state

    def persistent(self, reference: Any) -> None:
        match reference:
            case ("storage", Unknown(name=kind), str(key), str(), int(count), *rest):
                if rest not in ([], [None]) or not 0 <= count < MOST_NUMBERS:
                    raise ValueError("a storage that is a view of another, or of absurd size")
                self.storages[key] = Storage(kind, key, count)
                self.stack.append(self.storages[key])
            case ("module", Unknown() as kind, *_):  # the older form adds the source of the class
                self.stack.append(kind)
            case _:
                raise ValueError("a reference that is no storage of torch")


def _entries(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    """Other keys name no weights, and the hash of a deep tuple would overflow the C stack."""
    return {key: value for key, value in pairs if isinstance(key, str | int)}


def _ordered(pairs: Any = ()) -> dict[Any, Any]:
    return _entries((key, value) for key, value in pairs)


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> StoredTensor:
    plain = all(type(value) is int for value in (offset, *shape, *strides))
    if not isinstance(storage, Storage) or not plain:
        raise TypeError("a tensor without storage, offset, shape and strides")
    return StoredTensor(storage, offset, tuple(shape), tuple(strides))


def _first(value: Any, *_: Any) -> Any:
    return value


def _set(items: Iterable[Any] = ()) -> list[Any]:
    return list(items)


WITH_ATTRIBUTES = "torch._tensor._rebuild_from_type_v2"
"""Called with a function, a class, the function's arguments, and attributes set in Python."""
CALLS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _ordered,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch.Size": _first,
    "builtins.set": _set,
    "__builtin__.set": _set,
}
MOST_NUMBERS = 2**40
VALUES = re.compile(r"(BIN)?INT[12]?|LONG[14]?|(BIN)?FLOAT|(SHORT_)?(BIN)?(STRING|BYTES|UNICODE)8?")
EMPTY: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_SET": list,
    "EMPTY_TUPLE": tuple,
}
WITHOUT_MEANING = ("PROTO", "FRAME")
ACTIONS: dict[str, Callable[[_Machine, Any], object]] = {
    "MARK": _Machine.mark,
    "POP": lambda machine, _: machine.pop(),
    "POP_MARK": lambda machine, _: machine.pop_marked(),
    "DUP": lambda machine, _: machine.stack.append(machine.stack[-1]),
    "TUPLE": lambda machine, _: machine.tuple_of(machine.pop_marked()),
    "TUPLE1": lambda machine, _: machine.last_tuple(1),
    "TUPLE2": lambda machine, _: machine.last_tuple(2),
    "TUPLE3": lambda machine, _: machine.last_tuple(3),
    "LIST": lambda machine, _: machine.stack.append(machine.pop_marked()),
    "FROZENSET": lambda machine, _: machine.stack.append(machine.pop_marked()),
    "APPEND": lambda machine, _: machine.extend([machine.pop()]),
    "APPENDS": lambda machine, _: machine.extend(machine.pop_marked()),
    "ADDITEMS": lambda machine, _: machine.extend(machine.pop_marked()),
    "SETITEM": lambda machine, _: machine.set_items([machine.pop(), machine.pop()][::-1]),
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_marked()),
    "GLOBAL": lambda machine, name: machine.stack.append(Unknown(name.replace(" ", "."))),
    "STACK_GLOBAL": lambda machine, _: machine.name_global(),
    "REDUCE": lambda machine, _: machine.call(machine.pop()),
    "NEWOBJ": lambda machine, _: machine.call(machine.pop()),
    "NEWOBJ_EX": lambda machine, _: machine.call([machine.pop(), machine.pop()][1]),
    "BUILD": lambda machine, _: machine.build(machine.pop()),
    "BINPERSID": lambda machine, _: machine.persistent(machine.pop()),
    "GET": _Machine.get,
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "PUT": _Machine.put,
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "MEMOIZE": _Machine.put,
}

"""The few of pickle's instructions that a PyTorch checkpoint needs, run by a machine that knows no others.

Python's own unpickler imports and calls what a file names; even one that refuses names lets a file of a few bytes
take gigabytes (its memo grows to the greatest index). Here nothing is imported or called: a name on a short list
becomes a mark, and a mark that is "called" becomes a description.

Source of the instructions: `pickletools` of the standard library; of what PyTorch writes: `torch/serialization.py`
and `torch/_utils.py`.
"""

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from models.exceptions import CheckpointError

# A checkpoint of a thousand tensors with the state of its optimizer has about 100,000.
MOST_INSTRUCTIONS = 2_000_000
# Element types of PyTorch's storages, as NumPy names them; NumPy has no bfloat16.
STORAGES = {
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}
ORDERED_DICT = "collections.OrderedDict"
TENSOR = "torch._utils._rebuild_tensor_v2"
PARAMETER = "torch._utils._rebuild_parameter"
NAMES = {ORDERED_DICT, TENSOR, PARAMETER, *(f"torch.{name}" for name in STORAGES)}


@dataclass(frozen=True, slots=True)
class Name:
    """A global that a pickle may name; it is never looked up."""

    name: str


@dataclass(frozen=True, slots=True)
class Storage:
    """Numbers that lie elsewhere in the file: `count` of the element type `kind`, under `key`."""

    kind: str
    key: str
    count: int


@dataclass(frozen=True, slots=True)
class TensorView:
    """A tensor as a pickle describes it; the numbers have not been checked."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def read_pickle(file: BytesIO, checkpoint: str) -> object:
    """Read one pickle and leave the file behind it.

    Returns:
        None, a bool, int, float or str, a list, tuple or dict of them, a `Storage` or a `TensorView`.

    Raises:
        CheckpointError: broken, or with an instruction or a global that no checkpoint needs.
    """
    return _Machine(checkpoint).run(file)


class _Machine:
    def __init__(self, checkpoint: str) -> None:
        self._checkpoint = checkpoint
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def run(self, file: BytesIO) -> object:
        try:
            for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
                if count >= MOST_INSTRUCTIONS:
                    raise self._refused(f"has more than {MOST_INSTRUCTIONS} instructions")
                if opcode.name == "STOP":
                    return self._stack.pop()
                self._step(opcode.name, argument)
        except (ValueError, IndexError, KeyError, TypeError, OverflowError, AttributeError) as error:
            raise self._refused(f"is a broken pickle: {error!r}") from error
        raise self._refused("is a pickle without an end")

    def _step(self, name: str, argument: Any) -> None:
        if name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif name in _LITERALS:
            self._stack.append(argument)
        elif name in _STEPS:
            _STEPS[name](self, argument)
        elif name not in _IGNORED:
            raise self._refused(f"has the instruction {name}, which no checkpoint needs")

    def _refused(self, problem: str) -> CheckpointError:
        return CheckpointError(self._checkpoint, "pickle", problem)

    def _items(self) -> list[Any]:
        """What lies above the last mark."""
        items, self._stack = self._stack, self._below.pop()
        return items

    def _mark(self, _: object) -> None:
        self._below.append(self._stack)
        self._stack = []

    def _put(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def _memoize(self, _: object) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _get(self, index: int) -> None:
        self._stack.append(self._memo[index])

    def _empty_list(self, _: object) -> None:
        self._stack.append([])

    def _empty_dict(self, _: object) -> None:
        self._stack.append({})

    def _tuple(self, _: object) -> None:
        items = tuple(self._items())
        self._stack.append(items)

    def _tuple_of(self, count: int) -> None:
        if len(self._stack) < count:
            raise IndexError("a tuple of more than there is")
        self._stack[-count:] = [tuple(self._stack[-count:])]

    def _append(self, _: object) -> None:
        item = self._stack.pop()
        self._target(list).append(item)

    def _appends(self, _: object) -> None:
        items = self._items()
        self._target(list).extend(items)

    def _set_item(self, _: object) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._set([(key, value)])

    def _set_items(self, _: object) -> None:
        items = self._items()
        self._set(list(zip(items[::2], items[1::2], strict=True)))

    def _set(self, pairs: list[tuple[Any, Any]]) -> None:
        if any(type(key) not in {str, int} for key, _ in pairs):
            raise self._refused("has a dictionary whose keys are neither text nor numbers")
        self._target(dict).update(pairs)

    def _target(self, kind: type) -> Any:
        if type(self._stack[-1]) is not kind:
            raise TypeError(f"a {kind.__name__} is to be filled and there is none")
        return self._stack[-1]

    def _global(self, argument: str) -> None:
        self._name(argument.replace(" ", ".", 1))

    def _stack_global(self, _: object) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        self._name(f"{module}.{name}")

    def _name(self, name: str) -> None:
        if name not in NAMES:
            raise self._refused(f"names {name[:200]}, which no tensor needs: it may run code, and is not read")
        self._stack.append(Name(name))

    def _persistent(self, _: object) -> None:
        """PyTorch's reference to numbers elsewhere: `("storage", kind, key, device, count)`."""
        what, kind, key, _device, count, *view = self._stack.pop()
        name = kind.name.removeprefix("torch.") if isinstance(kind, Name) else ""
        if what != "storage" or name not in STORAGES or type(key) is not str or type(count) is not int:
            raise self._refused("refers to something else than a storage of numbers")
        if view not in ([], [None]):
            raise self._refused(f"has storage {key} as a part of another: save the checkpoint again")
        self._stack.append(Storage(STORAGES[name], key, count))

    def _reduce(self, _: object) -> None:
        arguments, called = self._stack.pop(), self._stack.pop()
        name = called.name if isinstance(called, Name) else type(called).__name__
        match name, arguments:
            case "collections.OrderedDict", ():
                self._stack.append({})
            case "torch._utils._rebuild_tensor_v2", (Storage() as storage, int(offset), tuple(size), tuple(stride), *_):
                if any(type(number) is not int for number in (*size, *stride)):
                    raise self._refused("has a tensor whose size or stride are no numbers")
                self._stack.append(TensorView(storage, offset, size, stride))
            case "torch._utils._rebuild_parameter", (TensorView() as tensor, *_):
                self._stack.append(tensor)
            case _:
                raise self._refused(f"calls {name} in a way that no tensor needs")

    def _build(self, _: object) -> None:
        """Attributes of an object. PyTorch gives a state dict versions of its modules; they are dropped."""
        self._stack.pop()
        self._target(dict)


_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_LITERALS = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE"}
_IGNORED = {"PROTO", "FRAME"}
_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": _Machine._mark,
    "BINPUT": _Machine._put,
    "LONG_BINPUT": _Machine._put,
    "MEMOIZE": _Machine._memoize,
    "BINGET": _Machine._get,
    "LONG_BINGET": _Machine._get,
    "EMPTY_LIST": _Machine._empty_list,
    "EMPTY_DICT": _Machine._empty_dict,
    "TUPLE": _Machine._tuple,
    "TUPLE1": lambda machine, _: machine._tuple_of(1),
    "TUPLE2": lambda machine, _: machine._tuple_of(2),
    "TUPLE3": lambda machine, _: machine._tuple_of(3),
    "APPEND": _Machine._append,
    "APPENDS": _Machine._appends,
    "SETITEM": _Machine._set_item,
    "SETITEMS": _Machine._set_items,
    "GLOBAL": _Machine._global,
    "STACK_GLOBAL": _Machine._stack_global,
    "BINPERSID": _Machine._persistent,
    "REDUCE": _Machine._reduce,
    "BUILD": _Machine._build,
}

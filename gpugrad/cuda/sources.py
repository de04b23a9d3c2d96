"""All that the machine code of a kernel depends on, as one digest.

Numba compiles Python's byte code, and so do the constants, globals, closures and device functions
that it reaches. They are walked here in full: Numba's own cache looks at the kernel's file alone,
and gives the old code after a helper in another file was edited.
"""

from __future__ import annotations

import dis
import enum
import hashlib
import importlib.metadata
import os
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...))
# What a version covers: the contents of these packages are named, not walked.
VERSIONED = ("builtins", "cmath", "cuda", "llvmlite", "math", "numba", "numpy", "operator")
DISTRIBUTIONS = (
    "numba", "numba-cuda", "llvmlite", "numpy", "cuda-bindings",
    *(f"nvidia-{part}{cuda}" for part in ("cuda-nvcc", "cuda-nvrtc", "nvjitlink", "nvvm")
      for cuda in ("", "-cu12")),
)  # fmt: skip
TOOLKITS = ("CUDA_HOME", "CUDA_PATH", "CONDA_PREFIX")
LIBRARIES = ("**/libnvvm*", "**/nvvm*.dll", "lib*/libnvJitLink*", "bin/nvJitLink*.dll")
OWN = ("cuda/compiler.py", "simulate/frontend/frontend.py", "simulate/frontend/toolchain.py")


class UnknownSourceError(Exception):
    """A kernel reaches something that cannot be described, so its code must not be kept."""


def digest(kernel: Any, *, lines: bool) -> str:
    """A name for what a kernel's code is made from, beside the types of its arguments.

    Args:
        kernel: what `@cuda.jit` made.
        lines: the code says which source line it comes from, so that must not move either.
    Raises:
        UnknownSourceError: it reaches an object whose contents are not known.
    """
    walk = _Walk(lines)
    walk.value(kernel)
    walk.say(repr(environment()))
    return walk.hash.hexdigest()


@cache
def environment() -> tuple[Any, ...]:
    """The versions of everything that compiles, found without loading any of it."""
    versions = [(name, _version(name)) for name in DISTRIBUTIONS]
    package = Path(__file__).parents[1]
    own = [hashlib.blake2b((package / name).read_bytes()).hexdigest() for name in OWN]
    told = sorted((name, value) for name, value in os.environ.items() if name.startswith("NUMBA_"))
    return sys.version, versions, list(_toolkits()), own, told


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _toolkits() -> Iterator[tuple[str, int, int]]:
    """(path, bytes, time) of compilers that are no packages of Python's."""
    roots = [os.environ[name] for name in TOOLKITS if os.environ.get(name)]
    for root in [*roots, "/usr/local/cuda"]:
        folder = Path(root)
        for where in (folder / "nvvm", folder):
            patterns = LIBRARIES[:2] if where.name == "nvvm" else LIBRARIES[2:]
            for path in sorted(found for pattern in patterns for found in where.glob(pattern)):
                about = path.stat()
                yield str(path.resolve()), about.st_size, about.st_mtime_ns


class _Walk:
    """A digest of values, each said in a way that no other value is."""

    def __init__(self, lines: bool) -> None:
        self.hash = hashlib.blake2b(digest_size=20)
        self.lines = lines
        self.seen: dict[int, tuple[int, Any]] = {}  # the object is held, so that its id is its own

    def say(self, *words: str | bytes) -> None:
        for word in words:
            data = word.encode() if isinstance(word, str) else word
            self.hash.update(f"{len(data)}:".encode() + data)

    def value(self, value: Any, names: tuple[str, ...] = ()) -> None:
        """Say a value; `names` are the attributes that may be asked of it if it is a module."""
        kind = type(value)
        if kind in PLAIN:
            return self.say(kind.__name__, repr(value))
        if id(value) in self.seen and not isinstance(value, ModuleType):
            return self.say("again", str(self.seen[id(value)][0]))
        self.seen[id(value)] = len(self.seen), value
        for takes, tell in _TELLERS:
            if takes(value):
                return tell(self, value, names)
        raise UnknownSourceError(f"{value!r:.80} of type {kind.__module__}.{kind.__qualname__}")

    def numbers(self, array: Any, names: tuple[str, ...]) -> None:
        if array.dtype.hasobject:
            raise UnknownSourceError(f"an array of {array.dtype}")
        self.say("array", repr(array.dtype.descr), repr(array.shape), array.tobytes())

    def record(self, dtype: Any, names: tuple[str, ...]) -> None:
        self.say("dtype", repr(dtype), repr(dtype.fields))

    def items(self, items: Any, names: tuple[str, ...]) -> None:
        self.say("tuple", type(items).__qualname__, repr(getattr(items, "_fields", None)))
        self.say(str(len(items)))
        for item in items:
            self.value(item)

    def unordered(self, items: Any, names: tuple[str, ...]) -> None:
        self.say("frozenset", repr(sorted(map(repr, items))))  # its order differs between runs

    def code(self, code: CodeType, names: tuple[str, ...]) -> None:
        counts = code.co_argcount, code.co_kwonlyargcount, code.co_posonlyargcount, code.co_flags
        self.say("code", code.co_name, code.co_code, repr(counts))
        self.say(repr([code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars]))
        if self.lines:
            self.say(code.co_filename, repr(code.co_firstlineno), code.co_linetable)
        self.items(code.co_consts, ())

    def function(self, function: FunctionType, names: tuple[str, ...]) -> None:
        self.say("function", str(function.__module__), function.__qualname__)
        self.value(function.__code__)
        self.value(function.__defaults__)
        self.value(tuple(sorted((function.__kwdefaults__ or {}).items())))
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (),
                              strict=True):  # fmt: skip
            self.say("closure", name)
            try:
                held = cell.cell_contents
            except ValueError:
                raise UnknownSourceError(f"the variable {name}, which has no value yet") from None
            self.value(held, function.__code__.co_names)
        for name, attributes in _globals_of(function.__code__).items():
            self.say("global", name)
            if name in function.__globals__:
                self.value(function.__globals__[name], attributes)

    def dispatcher(self, kernel: Any, names: tuple[str, ...]) -> None:
        self.say("jit", repr(sorted(kernel.targetoptions.items())))
        self.value(kernel.py_func)

    def package(self, module: ModuleType, names: tuple[str, ...]) -> None:
        self.say("module", module.__name__)
        if _versioned(module.__name__):
            return
        for name in names:
            if hasattr(module, name):
                self.say("attribute", name)
                self.value(getattr(module, name), names)

    def member(self, member: Any, names: tuple[str, ...]) -> None:
        self.say("member", type(member).__qualname__, member.name, repr(member.value))

    def named(self, value: Any, names: tuple[str, ...]) -> None:
        self.say("named", type(value).__qualname__, repr(_home(value)), _name(value))


def _globals_of(code: CodeType) -> dict[str, tuple[str, ...]]:
    """The globals that a function or one inside it loads, and every attribute name it uses."""
    found: dict[str, tuple[str, ...]] = {}
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            found[instruction.argval] = code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            for name, names in _globals_of(constant).items():
                found[name] = (*found.get(name, ()), *names)
    return found


def _home(value: Any) -> str:
    """The module that a class or function, or an object's class, comes from."""
    return str(getattr(value, "__module__", None) or type(value).__module__)


def _name(value: Any) -> str:
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    return str(name) if name else repr(value)


def _versioned(module: str) -> bool:
    return module.partition(".")[0] in VERSIONED


def _of_version(value: Any) -> bool:
    """Whether it is a part of Python, NumPy or Numba: a class, a function, a type, an intrinsic."""
    defined = getattr(value, "_defn", value)  # an intrinsic is the function that defines it
    if isinstance(defined, FunctionType):  # from exec, it may say that it is one of the builtins
        return _versioned(_home(defined)) and _home(defined) != "builtins"
    if isinstance(defined, (type, BuiltinFunctionType, np.ufunc)):
        return _versioned(_home(defined))
    return _versioned(type(value).__module__) and not hasattr(value, "py_func")


_TELLERS: list[tuple[Callable[[Any], bool], Callable[[_Walk, Any, tuple[str, ...]], None]]] = [
    (lambda v: isinstance(v, (np.ndarray, np.generic)), _Walk.numbers),
    (lambda v: isinstance(v, np.dtype), _Walk.record),
    (lambda v: isinstance(v, tuple), _Walk.items),
    (lambda v: isinstance(v, frozenset), _Walk.unordered),
    (lambda v: isinstance(v, enum.Enum), _Walk.member),
    (lambda v: isinstance(v, ModuleType), _Walk.package),
    (lambda v: isinstance(v, CodeType), _Walk.code),
    (_of_version, _Walk.named),
    (lambda v: isinstance(v, FunctionType), _Walk.function),
    (lambda v: hasattr(v, "py_func") and hasattr(v, "targetoptions"), _Walk.dispatcher),
]

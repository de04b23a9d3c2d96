"""Modules in a row: Sequential applies them one after another, ModuleList only holds them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gpugrad.errors import DtypeError, IndexRangeError
from gpugrad.nn.module import Module


class _Row(Module):
    """Modules held as the attributes "0", "1", ..., which are their names."""

    def __iter__(self) -> Iterator[Any]:
        return iter([value for value in self.__dict__.values() if isinstance(value, Module)])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __getitem__(self, index: int | slice) -> Any:
        modules = list(self)
        if isinstance(index, slice):
            return type(self)(*self._arguments(modules[index]))
        return modules[self._place(index)]

    def __setitem__(self, index: int, module: Module) -> None:
        names = [name for name, _ in self._held(Module)]
        setattr(self, names[self._place(index)], self._checked(module))

    def __delitem__(self, index: int | slice) -> None:
        modules = list(self)
        del modules[index if isinstance(index, slice) else self._place(index)]
        self._renumber(modules)

    def append(self, module: Module) -> Any:
        """Add a module at the end, and return the whole."""
        setattr(self, str(len(self)), self._checked(module))
        return self

    def extend(self, modules: Iterable[Module]) -> Any:
        """Add modules at the end, and return the whole."""
        for module in list(modules):
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Any:
        """Add a module before the one at `index`, and return the whole."""
        modules = list(self)
        modules.insert(index, self._checked(module))
        self._renumber(modules)
        return self

    def _renumber(self, modules: list[Module]) -> None:
        for name, _ in list(self._held(Module)):
            delattr(self, name)
        for position, module in enumerate(modules):
            setattr(self, str(position), module)

    def _place(self, index: int) -> int:
        count = len(self)
        if not -count <= index < count:
            raise IndexRangeError(
                f"{type(self).__name__}[{index}]: there are {count} modules, numbered from 0"
            )
        return index % count

    def _checked(self, module: Any) -> Module:
        if not isinstance(module, Module):
            raise DtypeError(
                f"{type(self).__name__}: expected modules, not {type(module).__name__}\n"
                "  help: nn.ReLU() is the module, nn.functional.relu the function"
            )
        return module

    @staticmethod
    def _arguments(modules: list[Module]) -> Any:
        return modules


class Sequential(_Row):
    """Modules applied one after another.

    Args:
        modules: in the order in which they are applied; or one dict, whose keys become the names.
    Raises:
        DtypeError: not a module.

    >>> import gpugrad as gg
    >>> model = Sequential(gg.nn.Linear(3, 2), gg.nn.ReLU())
    >>> model(gg.zeros((5, 3))).shape
    (5, 2)
    """

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        named: Any = enumerate(modules)
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            named = modules[0].items()
        for name, module in named:
            self.add_module(str(name), self._checked(module))

    def forward(self, x: Any) -> Any:
        """The last module's output, each having been given the output of the one before."""
        for module in self:
            x = module(x)
        return x


class ModuleList(_Row):
    """A list of modules, for a `forward` that calls them as it likes.

    >>> import gpugrad as gg
    >>> len(ModuleList(gg.nn.Linear(2, 2) for _ in range(3)))
    3
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self.extend(modules)

    @staticmethod
    def _arguments(modules: list[Module]) -> Any:
        return [modules]

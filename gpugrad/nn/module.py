"""Module: a function with parameters, found by walking its attributes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from gpugrad.device import Device, as_device
from gpugrad.dtypes import as_dtype, float16, float32, float64
from gpugrad.errors import DtypeError, OptionError
from gpugrad.nn.parameter import Parameter
from gpugrad.nn.state import IncompatibleKeys, load
from gpugrad.ops.creation import zeros_like
from gpugrad.tensor import Tensor, describe

Self = TypeVar("Self", bound="Module")
Kind = TypeVar("Kind")


class Module:
    """Base class of layers, models and losses: define `forward`, and call the module.

    Parameters and modules are whatever parameters and modules its attributes hold, directly or in
    lists, tuples and dicts, and are named by the way to them: `layers.0.weight`. One that is held
    twice (tied weights) counts once.

    >>> import gpugrad as gg
    >>> class Scale(gg.nn.Module):
    ...     def __init__(self):
    ...         self.factor = gg.nn.Parameter(2.0)
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> model = Scale()
    >>> model(gg.tensor(3.0)).item()
    6.0
    >>> [name for name, _ in model.named_parameters()]
    ['factor']
    """

    training: bool = True
    # Names of buffers, and whether they belong to the state; a class without any shares this one.
    _buffer_names: Mapping[str, bool] = MappingProxyType({})

    def forward(self, *args: Any, **options: Any) -> Any:
        """What calling the module computes."""
        raise NotImplementedError(f"{type(self).__name__} must define forward()")

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self.forward(*args, **options)

    def __setattr__(self, name: str, value: Any) -> None:
        # As in PyTorch: a plain tensor in a parameter's place would be trained by nobody.
        trained = isinstance(vars(self).get(name), Parameter)
        if trained and value is not None and not isinstance(value, Parameter):
            raise DtypeError(
                f"{type(self).__name__}.{name} is a parameter, and {describe(value)} is none\n"
                "  help: nn.Parameter(value); or, within gg.no_grad(), "
                f"module.{name}.copy_(value)"
            )
        object.__setattr__(self, name, value)

    # What it holds

    def _held(self, kind: type[Kind]) -> Iterator[tuple[str, Kind]]:
        """The values of a kind among the attributes, and in lists, tuples and dicts there."""
        for name, value in vars(self).items():
            if isinstance(value, kind):
                yield name, value
            elif isinstance(value, (list, tuple, dict, set, frozenset)):
                yield from _inside(name, value, kind)

    def named_modules(
        self, memo: set[int] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module (named by the prefix) and all below it, each before those it holds."""
        memo = set() if memo is None else memo
        if remove_duplicate:
            if id(self) in memo:
                return
            memo.add(id(self))
        yield prefix, self
        for name, module in self._held(Module):
            yield from module.named_modules(memo, _joined(prefix, name), remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """This module and all below it."""
        return (module for _, module in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules that this one holds itself."""
        memo: set[int] = set()
        for name, module in self._held(Module):
            if id(module) not in memo:
                memo.add(id(module))
                yield name, module

    def children(self) -> Iterator[Module]:
        """The modules that this one holds itself."""
        return (module for _, module in self.named_children())

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters with their names; of a tied parameter the first name only."""
        return self._named(
            lambda module: module._held(Parameter), prefix, recurse, remove_duplicate
        )

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters, each once.

        >>> import gpugrad as gg
        >>> sum(p.size for p in gg.nn.Linear(3, 2).parameters())
        8
        """
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """The buffers with their names."""
        return self._named(lambda module: module._held_buffers(), prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers, each once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def _held_buffers(self, persistent: bool = False) -> Iterator[tuple[str, Tensor]]:
        for name, kept in self._buffer_names.items():
            value = getattr(self, name, None)
            if isinstance(value, Tensor) and (kept or not persistent):
                yield name, value

    def _named(
        self,
        held: Callable[[Module], Iterator[tuple[str, Any]]],
        prefix: str,
        recurse: bool,
        remove_duplicate: bool,
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        whole = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
        for path, module in whole if recurse else [(prefix, self)]:
            for name, value in held(module):
                if not remove_duplicate or id(value) not in seen:
                    seen.add(id(value))
                    yield _joined(path, name), value

    # Registering; plain assignment does the same, except for buffers

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Make `tensor` the attribute `name`: state that is not learned, such as running means.

        Args:
            persistent: whether it belongs to `state_dict`.
        Raises:
            OptionError: the name has a dot, is empty, or is another attribute's.
            DtypeError: not a tensor.
        """
        self._check_name("register_buffer", name, name in self._buffer_names)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise DtypeError(
                f"register_buffer({name!r}): expected a Tensor or None, not {type(tensor).__name__}"
            )
        self._buffer_names = {**self._buffer_names, name: persistent}
        setattr(self, name, tensor)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Make `param` the attribute `name`."""
        self._check_name("register_parameter", name, name in vars(self))
        setattr(self, name, param)

    def add_module(self, name: str, module: Module | None) -> None:
        """Make `module` the attribute `name`."""
        self._check_name("add_module", name, name in vars(self))
        setattr(self, name, module)

    register_module = add_module

    def _check_name(self, caller: str, name: str, ours: bool) -> None:
        if not isinstance(name, str) or not name or "." in name:
            raise OptionError(f"{caller}({name!r}): a name is a string, not empty, without dots")
        if hasattr(self, name) and not ours:
            raise OptionError(
                f"{caller}({name!r}): {type(self).__name__} already has an attribute of that name"
            )

    # State

    def state_dict(self, prefix: str = "", keep_vars: bool = False) -> dict[str, Tensor]:
        """Parameters and persistent buffers by name, detached; they share the model's memory.

        Copy what must outlive the next optimizer step: `copy.deepcopy(model.state_dict())`.

        >>> import gpugrad as gg
        >>> list(gg.nn.MLP([4, 3, 2]).state_dict())
        ['layers.0.weight', 'layers.0.bias', 'layers.1.weight', 'layers.1.bias']
        """
        state: dict[str, Tensor] = {}
        for path, module in self.named_modules(remove_duplicate=False):
            for name, tensor in (*module._held(Parameter), *module._held_buffers(persistent=True)):
                state[prefix + _joined(path, name)] = tensor if keep_vars else tensor.detach()
        return state

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True
    ) -> IncompatibleKeys:
        """Overwrite parameters and buffers with the values of `state_dict`, in place.

        Args:
            state_dict: tensors or arrays by name; they are converted to the model's dtypes.
            strict: whether missing and extra names are errors.
        Returns: the missing and the unexpected names.
        Raises:
            StateError: naming every missing, extra or wrong-shaped key; nothing has been changed.
        """
        return load(self, state_dict, strict)

    # What changes all of it

    def train(self: Self, mode: bool = True) -> Self:
        """Switch to training (dropout drops, batch norm uses the batch's statistics)."""
        if not isinstance(mode, bool):
            raise OptionError(f"train(mode={mode!r}): mode is True or False")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: Self) -> Self:
        """Switch to evaluation."""
        return self.train(False)

    def requires_grad_(self: Self, requires_grad: bool = True) -> Self:
        """Ask for gradients of all parameters, or freeze them."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or set those there are to zeros."""
        for parameter in self.parameters():
            if parameter.grad is not None:
                parameter.grad = None if set_to_none else zeros_like(parameter.grad)

    def apply(self: Self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn` on every module, those below first."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def to(
        self: Self,
        target: Any = None,
        dtype: Any = None,
        *,
        device: Device | str | None = None,
    ) -> Self:
        """Move the model to a device, or convert its floating parameters and buffers to a dtype.

        The parameters stay the same objects, so that an optimizer over them goes on.

        Raises:
            DeviceError: no such device here.
            DtypeError: the dtype is not floating.
        """
        if isinstance(target, Tensor):
            device = target.device if device is None else device
            target, dtype = None, target.dtype if dtype is None else dtype
        elif isinstance(target, (Device, str)) and (
            isinstance(target, Device) or target.partition(":")[0] in ("cpu", "cuda", "auto")
        ):
            device, target = target, None
        if target is not None:
            dtype = target
        if device is not None:
            place = as_device(device)
            for tensor in (*self.parameters(), *self.buffers()):
                if tensor.device != place:
                    _move(tensor, place)
        if dtype is None:
            return self
        wanted = as_dtype(dtype)
        if wanted.kind != "f":
            raise DtypeError(f"{type(self).__name__}.to({wanted}): a model's dtype is floating")
        for tensor in (*self.parameters(), *self.buffers()):
            if tensor.dtype.kind == "f" and tensor.dtype != wanted:
                _convert(tensor, wanted)
        return self

    def float(self: Self) -> Self:
        """Convert to float32."""
        return self.to(float32)

    def double(self: Self) -> Self:
        """Convert to float64."""
        return self.to(float64)

    def half(self: Self) -> Self:
        """Convert to float16."""
        return self.to(float16)

    def cpu(self: Self) -> Self:
        """Move the model to the CPU."""
        return self.to("cpu")

    def cuda(self: Self) -> Self:
        """Move the model to the GPU."""
        return self.to("cuda")

    # Shown

    def extra_repr(self) -> str:
        """The settings that `repr` shows."""
        return ""

    def __repr__(self) -> str:
        settings = self.extra_repr()
        lines = settings.split("\n") if settings else []
        children = [f"({name}): {module!r}" for name, module in self._held(Module)]
        if not children and len(lines) <= 1:
            return f"{type(self).__name__}({settings})"
        body = "\n".join([*lines, *children]).replace("\n", "\n  ")
        return f"{type(self).__name__}(\n  {body}\n)"


def _joined(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def _inside(path: str, values: Any, kind: type[Kind]) -> Iterator[tuple[str, Kind]]:
    """The values of a kind in a list, tuple or dict, and in those that it holds.

    Raises:
        OptionError: they are in a set, where they have no order and so no names.
    """
    if isinstance(values, (set, frozenset)):
        if any(isinstance(value, (Module, Parameter)) for value in values):
            raise OptionError(
                f"{path}: modules and parameters in a set have no order, and so no names\n"
                "  help: keep them in a list, a dict or a ModuleList"
            )
        return
    items = values.items() if isinstance(values, dict) else enumerate(values)
    for key, value in items:
        if isinstance(value, kind):
            yield f"{path}.{key}", value
        elif isinstance(value, (list, tuple, dict, set, frozenset)):
            yield from _inside(f"{path}.{key}", value, kind)


def _move(tensor: Tensor, device: Device) -> None:
    """Move a leaf to another device: new memory under the same object, and under the same leaf."""
    tensor._rebind(device.put(tensor._data))
    if tensor._node is not None and tensor._node.grad is not None:
        tensor._node.grad = tensor._node.grad.detach().to(device)


def _convert(tensor: Tensor, dtype: Any) -> None:
    """Give a leaf another dtype: new memory under the same object, and under the same leaf."""
    tensor._rebind(tensor._data.astype(dtype))
    if tensor._node is not None:
        tensor._node.dtype = dtype
        if tensor._node.grad is not None:
            tensor._node.grad = tensor._node.grad.detach().astype(dtype)

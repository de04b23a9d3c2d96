"""Tensor: an array, the graph node that made it, and the version of its memory.

A tensor is a value: no operation changes it. Its methods and operators (`t.sum()`, `a + b`,
`t[0]`, `t.backward()`) are attached where each is declared, by `gpugrad.primitive.method`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from gpugrad.device import (
    ARRAYS,
    Device,
    as_device,
    beside,
    device_of,
    to_host,
)
from gpugrad.dtypes import Dtype, default_float, int64
from gpugrad.errors import DeviceError, DtypeError, GraphError, OptionError, ShapeError
from gpugrad.mode import RECORD, TRANSFORM, mode
from gpugrad.version import FOREIGN, Version, user_place

if TYPE_CHECKING:
    from gpugrad.graph import Vertex

_new = object.__new__
TYPES: set[type] = set()  # Tensor and its subclasses, for look-ups that must be quick
PLAIN = "a plain array"  # how the refusal of one begins
ArrayLike = Any  # a Tensor, a NumPy array, a Python number, or nested lists of numbers


class Tensor:
    """An n-dimensional array whose operations are recorded when a gradient is required.

    Make one with `gg.tensor` (copies) or `gg.asarray` (shares memory).

    >>> import gpugrad as gg
    >>> x = gg.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """

    __slots__ = ("__weakref__", "_data", "_node", "_version")
    _data: np.ndarray[Any, Any]
    _node: Vertex | None
    _version: Version | None

    if TYPE_CHECKING:  # what `method` attaches: operators for the checker, the rest by name

        def __getattr__(self, name: str) -> Any: ...
        def __add__(self, other: ArrayLike) -> Tensor: ...
        def __radd__(self, other: ArrayLike) -> Tensor: ...
        def __sub__(self, other: ArrayLike) -> Tensor: ...
        def __rsub__(self, other: ArrayLike) -> Tensor: ...
        def __mul__(self, other: ArrayLike) -> Tensor: ...
        def __rmul__(self, other: ArrayLike) -> Tensor: ...
        def __truediv__(self, other: ArrayLike) -> Tensor: ...
        def __rtruediv__(self, other: ArrayLike) -> Tensor: ...
        def __pow__(self, other: ArrayLike) -> Tensor: ...
        def __rpow__(self, other: ArrayLike) -> Tensor: ...
        def __matmul__(self, other: ArrayLike) -> Tensor: ...
        def __rmatmul__(self, other: ArrayLike) -> Tensor: ...
        def __neg__(self) -> Tensor: ...
        def __getitem__(self, key: Any) -> Tensor: ...
        def __setitem__(self, key: Any, value: ArrayLike) -> None: ...
        def __lt__(self, other: ArrayLike) -> Tensor: ...
        def __le__(self, other: ArrayLike) -> Tensor: ...
        def __gt__(self, other: ArrayLike) -> Tensor: ...
        def __ge__(self, other: ArrayLike) -> Tensor: ...

    def __new__(
        cls,
        obj: ArrayLike,
        dtype: Any = None,
        device: Device | str | None = None,
        requires_grad: bool = False,
    ) -> Tensor:
        from gpugrad.making import copied

        self = cls._wrap(copied(obj, dtype, device))
        return self.requires_grad_() if requires_grad else self

    def __init_subclass__(cls) -> None:
        TYPES.add(cls)

    @classmethod
    def _wrap(
        cls,
        array: np.ndarray[Any, Any],
        node: Vertex | None = None,
        version: Version | None = None,
    ) -> Tensor:
        """A tensor around `array` itself; with no version, nobody may write to that memory."""
        self = _new(cls)
        self._data = array
        self._node = node
        self._version = version
        return self

    # What it is

    @property
    def shape(self) -> tuple[int, ...]:
        """The size of each axis."""
        shape: tuple[int, ...] = self._data.shape
        return shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._data.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return self._data.size

    @property
    def dtype(self) -> Dtype:
        """The element type, as NumPy's `dtype`."""
        dtype: Dtype = self._data.dtype
        return dtype

    @property
    def device(self) -> Device:
        """Where the elements are."""
        return device_of(self._data)

    @property
    def data(self) -> Any:
        """The elements as they are, whether or not a gradient is required.

        On the CPU a read-only NumPy view; on a GPU CuPy's array, which nothing keeps you from
        writing to: what is recorded does not notice.
        """
        if type(self._data) is not np.ndarray:
            return self._data
        view = self._data.view()
        view.flags.writeable = False
        return view

    @data.setter
    def data(self, value: ArrayLike) -> None:
        raise GraphError(
            "data: this view is not assigned to\n"
            "  help: within gg.no_grad() write t -= 0.1 * t.grad, or t.copy_(value)"
        )

    @property
    def requires_grad(self) -> bool:
        """Whether operations on this tensor are recorded."""
        return self._node is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    @property
    def is_leaf(self) -> bool:
        """Whether this tensor is where a graph begins: no recorded operation made it."""
        return self._node is None or self._node.is_leaf

    @property
    def grad(self) -> Tensor | None:
        """The gradient that `backward` accumulated; None means not computed yet, never zero."""
        return None if self._node is None else self._node.grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if self._node is None:
            if value is None:
                return
            raise GraphError("grad: this tensor requires no gradient\n  help: t.requires_grad_()")
        if value is not None:
            if not isinstance(value, Tensor):
                raise DtypeError(
                    f"grad: expected a Tensor or None, not {type(value).__name__}\n"
                    "  help: t.grad = None forgets the gradient"
                )
            if value.shape != self.shape or value.dtype != self.dtype:
                raise ShapeError(
                    f"grad: a gradient has its tensor's shape and dtype\n"
                    f"  tensor: {describe(self)}\n  grad: {describe(value)}"
                )
            if value.device != self.device:
                raise DeviceError(
                    f"grad: a gradient is where its tensor is, on {self.device}, "
                    f"not on {value.device}\n  help: value.to({str(self.device)!r})"
                )
        self._node.grad = value

    # Gradients switched on and off

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Ask for a gradient of this leaf (or stop asking), and return it.

        Raises:
            DtypeError: the elements are integers or bools.
            GraphError: the tensor is no leaf.
        """
        if self._node is not None and not self._node.is_leaf:
            if requires_grad:
                return self
            raise GraphError(
                "requires_grad_(False): a recorded operation made this tensor\n"
                "  help: t.detach() is the same value, outside the graph"
            )
        if not requires_grad:
            self._node = None
        elif self._node is None:
            if self._data.dtype.kind != "f":
                raise DtypeError(
                    f"requires_grad: only floating tensors have gradients, this is {self.dtype}\n"
                    "  help: write 2.0 instead of 2, or convert it with t.astype(gg.float32) first"
                )
            from gpugrad.graph import Leaf

            self._node = Leaf(self._data.shape, self._data.dtype)
            if self._version is None:
                # What was recorded while this was a constant may keep this memory unwatched.
                with beside(self._data):
                    self._data = self._data.copy()
                self._version = Version()
        return self

    def detach(self) -> Tensor:
        """The same value, in the same memory, as a constant."""
        return Tensor._wrap(self._data, None, self._version)

    def retain_grad(self) -> None:
        """Make `backward` leave the gradient of this recorded tensor in `.grad`."""
        if self._node is None:
            raise GraphError("retain_grad: this tensor requires no gradient")
        self._node.keep_grad = True

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> Hook:
        """Call `hook(grad)` when the gradient of this tensor is complete in a backward pass.

        What it returns, unless None, takes the gradient's place. The handle that comes back has
        `remove()`.
        """
        if self._node is None:
            raise GraphError("register_hook: this tensor requires no gradient")
        if self._node.hooks is None:
            self._node.hooks = {}
        handle = Hook(self._node.hooks)
        self._node.hooks[handle] = hook
        return handle

    # In and out

    def numpy(self) -> np.ndarray[Any, Any]:
        """The elements as a read-only NumPy array: a view, or from a GPU a copy, once it is done.

        Raises:
            GraphError: the tensor requires a gradient, which NumPy would drop.
        """
        if self._node is not None:
            raise GraphError(
                "numpy(): this tensor requires a gradient, which NumPy would drop\n"
                "  help: t.detach().numpy()"
            )
        if type(self._data) is np.ndarray:
            return self.data  # type: ignore[no-any-return]
        host = to_host(self._data)
        host.flags.writeable = False
        return host

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        converted = dtype is not None and np.dtype(dtype) != self.dtype
        if converted and copy is False:
            raise OptionError(f"__array__(copy=False): {self.dtype} becomes {dtype} by a copy only")
        if type(self._data) is not np.ndarray:
            self._handed_out(PLAIN)
            raise DeviceError(
                f"a NumPy array of a tensor on {self.device}: nothing moves by itself\n"
                "  help: t.numpy() copies it to the host; gg.* functions compute where it is"
            )
        if copy or converted:
            return np.array(self.numpy(), dtype=dtype)
        return self.numpy()

    def __dlpack__(self, **options: Any) -> Any:
        self._handed_out("DLPack")
        # DLPack cannot say "read-only" before version 1.0, so it hands out a copy.
        array = self._data.copy() if type(self._data) is np.ndarray else self._data
        return array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._data.__dlpack_device__()

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        if self._node is not None:  # CuPy looks whether it is there, and then asks the tensor
            raise AttributeError  # `numpy_protocol.no_member` says why
        array: Any = self._data
        interface: dict[str, Any] = array.__cuda_array_interface__
        return interface

    def _handed_out(self, how: str) -> None:
        if self._node is not None:
            raise GraphError(
                f"{how}: this tensor requires a gradient, which another library would drop\n"
                "  help: hand out t.detach()"
            )

    def item(self) -> Any:
        """The only element, as a Python number.

        Raises:
            ShapeError: there is not exactly one.
        """
        if self._data.size != 1:
            raise ShapeError(
                f"item(): needs exactly one element, this is {describe(self)}\n"
                "  help: reduce it first (t.sum(), t.mean()), or use t.tolist()"
            )
        return to_host(self._data).item()

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        return to_host(self._data).tolist()

    def to(
        self, target: Any = None, dtype: Any = None, *, device: Device | str | None = None
    ) -> Tensor:
        """This tensor on another device, with another dtype, or both; itself if nothing changes.

        Args:
            target: a device, a dtype, or a tensor that has both.
        Raises:
            OptionError: neither is named.
        """
        if isinstance(target, Tensor):
            device, dtype = device or target.device, dtype or target.dtype
        elif isinstance(target, Device) or (
            isinstance(target, str) and target.partition(":")[0] in ("cpu", "cuda", "auto")
        ):
            device = target
        elif target is not None:
            dtype = target
        if device is None and dtype is None:
            raise OptionError(
                'to(): name a device or a dtype\n  help: t.to("cuda"), t.to("float16")'
            )
        moved = self
        if device is not None:
            from gpugrad.making import moved_to

            moved = moved_to(self, as_device(device))
        return moved if dtype is None else moved.astype(dtype)

    def cpu(self) -> Tensor:
        """This tensor on the CPU."""
        return self.to("cpu")

    def cuda(self) -> Tensor:
        """This tensor on the GPU."""
        return self.to("cuda")

    def copy_(self, value: ArrayLike) -> Tensor:
        """Overwrite a leaf's elements in place; its version says so to any backward pass.

        Raises:
            GraphError: the tensor is not a leaf.
            ShapeError: `value` cannot be broadcast to this shape.
        """
        if not self.is_leaf:
            raise GraphError("copy_: a recorded operation made this tensor; it is never changed")
        from gpugrad.making import asarray

        source = value if isinstance(value, Tensor) else asarray(value, device=self.device)
        xp = self.device.xp
        try:
            view = xp.broadcast_to(self.device.put(source._data), self.shape)
        except ValueError:
            raise ShapeError(f"copy_: {source.shape} cannot be broadcast to {self.shape}") from None
        if self._version is None or self._version is FOREIGN:
            self._data = xp.array(view, dtype=self.dtype)
            self._version = None if self._node is None else Version()
        else:
            with beside(self._data):
                self._data[...] = view
            self._written("copy_")
        return self

    # For the library's own writers

    def _written(self, writer: str) -> None:
        """Note that this leaf's memory was overwritten by `writer`."""
        if self._version is not None:
            self._version.written(writer, user_place())

    def _rebind(self, array: np.ndarray[Any, Any]) -> None:
        """Move this leaf to `array`, which holds the same values (an optimizer's flat buffer)."""
        self._data = array

    # Python's protocols

    def __len__(self) -> int:
        if self._data.ndim == 0:
            raise ShapeError("len(): this tensor has no axes")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if self._data.ndim == 0:
            raise ShapeError("iteration: this tensor has no axes\n  help: t.item() is its number")
        return (self[i] for i in range(self._data.shape[0]))

    def __bool__(self) -> bool:
        if self._data.size != 1:
            raise ShapeError(
                f"bool(): the truth of {describe(self)} is ambiguous\n"
                "  help: t.any() or t.all(), for example (a == b).all()"
            )
        return bool(self.item())

    def __float__(self) -> float:
        if self._node is not None and mode() & (RECORD | TRANSFORM) == RECORD | TRANSFORM:
            raise GraphError(
                "float(): this tensor requires a gradient, which a Python number would drop\n"
                "  help: gg.sin(t) instead of math.sin(t), gg.stack([...]) instead of a[i] = t; or "
                "t.item(), the number as a constant"
            )
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self._data.dtype.kind not in "iu":
            raise DtypeError(f"an index must be an integer, this is {describe(self)}")
        return int(self.item())

    def __hash__(self) -> int:
        return id(self)

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else repr(self)

    def __repr__(self) -> str:
        body = np.array2string(to_host(self._data), separator=", ", prefix="tensor(")
        usual = self.dtype in (default_float(), int64) or self.dtype.kind == "b"
        parts = [body if self.size else f"{body}, shape={self.shape}"]
        if self.device != as_device():
            parts.append(f"device='{self.device}'")
        if not usual or not self.size:
            parts.append(f"dtype={self.dtype}")
        if self._node is not None:
            parts.append("requires_grad=True" if self.is_leaf else f"from={self._node.name}")
        return f"tensor({', '.join(parts)})"

    def __reduce__(self) -> Any:
        if not self.is_leaf:
            raise GraphError(
                "pickle/deepcopy: a recorded operation made this tensor; its graph cannot be copied"
                "\n  help: copy t.detach()"
            )
        return _rebuild, (
            type(self),
            to_host(self._data).copy(),
            self.requires_grad,
            self.grad,
            str(self.device),
        )


TYPES.add(Tensor)


class Hook:
    """The handle of a registered hook."""

    def __init__(self, hooks: dict[Hook, Any]) -> None:
        self._hooks = hooks

    def remove(self) -> None:
        """Call the hook no more."""
        self._hooks.pop(self, None)


def _rebuild(
    cls: type[Tensor],
    array: np.ndarray[Any, Any],
    requires_grad: bool,
    grad: Tensor | None,
    device: str = "cpu",
) -> Tensor:
    self = cls._wrap(as_device(device).put(array))
    if requires_grad:
        self.requires_grad_()
        self.grad = grad
    return self


def describe(x: ArrayLike) -> str:
    """`x` as an error shows it: `float32 (64, 784) on cpu`."""
    if isinstance(x, Tensor) or type(x) in ARRAYS or isinstance(x, (np.ndarray, np.generic)):
        return f"{x.dtype} {x.shape} on {device_of(getattr(x, '_data', x))}"
    return repr(x)

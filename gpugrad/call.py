"""The Python function that runs when a primitive is called, written out for its signature.

Recording a small operation costs more than computing it, so what could be a loop over the arguments
is written out as source, once for each primitive, the way `dataclasses` writes an `__init__`. For
`multiply(xp, a, b, /)` it reads, in essence:

    def call(self, a, b):
        array_0, node_0, version_0 = a._data, a._node, a._version     # the same for b
        if the dtypes are not one: return converted(self, (a, b))     # and call again
        y = forward(xp, array_0, array_1)
        if nothing is to be recorded: return Tensor(y)
        node = plans[which arguments need a gradient].record(...)
        return Tensor(y, node)

`Plan.record` and `Plan.pull` are written out likewise, for the set of arguments that need a
gradient. Tensors and nodes are made slot by slot there, which spares a call for each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gpugrad.cuda.failures import failures
from gpugrad.device import CPU, as_array, common_device, device_of, namespace_of
from gpugrad.errors import OptionError
from gpugrad.graph import Output
from gpugrad.mode import mode
from gpugrad.promotion import SCALARS, unify
from gpugrad.tensor import TYPES, Tensor
from gpugrad.version import Version

if TYPE_CHECKING:
    from gpugrad.plan import Rule
    from gpugrad.primitive import Primitive

MISSING: Any = type("Missing", (), {"__repr__": lambda self: "<not given>"})()


def wrong() -> tuple[type[Exception], ...]:
    """The errors of a forward that `Primitive.explained` puts into words; asked for after one."""
    return ValueError, IndexError, TypeError, OverflowError, *failures()


def compiled_call(primitive: Primitive, count: int, first_output: bool = False) -> Rule:
    """The function of (self, arrays, options) for a call with `count` arrays.

    With `first_output` it returns that one alone of several, and makes no tensors of the others.
    """
    first = len(primitive.arrays)
    names = [primitive.arrays[k] if k < first else f"more_{k}" for k in range(count)]
    source = "\n".join(_lines(primitive, names, first_output))
    scope: dict[str, Any] = {
        "_TYPES": TYPES, "_SCALARS": SCALARS, "_MISSING": MISSING, "_wrong": wrong,
        "_primitive": primitive, "_forward": primitive.forward, "_cpu": CPU.xp,
        "_namespace_of": namespace_of, "_mode_now": mode, "_ndarray": np.ndarray,
        "_asarray": as_array, "_new": object.__new__, "_Tensor": Tensor, "_Output": Output,
        "_shared_version": shared_version, "_holds_tensor": _holds_tensor,
        "_converted": converted, "_defaults": primitive.defaults, "_type": type, "_map": map,
        "_float": float, "_plans": primitive.plans(count),
    }  # fmt: skip
    exec(compile(source, f"<gpugrad call of {primitive.name}>", "exec"), scope)
    call: Rule = scope["call"]
    return call


def _lines(p: Primitive, names: list[str], first_output: bool) -> list[str]:
    """The source of the call, line by line. An underscore sets its names apart from the user's."""
    count = len(names)
    every = range(count)
    optional = range(p.required, len(p.arrays))
    head = [f"{n}=None" if k in optional else f"{n}=_MISSING" for k, n in enumerate(names)]
    head += [f"{n}=_defaults[{n!r}]" if n in p.defaults else f"{n}=_MISSING" for n in p.options]
    given = f"({''.join(f'{n}, ' for n in names)})"
    options = "{" + ", ".join(f"{n!r}: {n}" for n in p.options) + "}"
    again = f"return _converted(_self, {given}, {options}, _rest, _unknown)"
    again += "[0]" if first_output else ""
    lines = [f"def call({', '.join(['_self', *head, '*_rest', '**_unknown'])}):"]
    lines += [f"    if _rest or _unknown: {again}", "    _dtype = None", "    _xp = _cpu"]
    joined = [k for k in every if not p.separate >> k & 1]
    for k, name in enumerate(names):
        lines += _argument(k, name, joined, again)
    unsuited = "_dtype is None"
    if p.floating:
        unsuited += " or _dtype.kind != 'f'"
    elif len(joined) > 1:
        floats = " or ".join(f"_type({names[k]}) is _float" for k in joined)
        unsuited += f" or (_dtype.kind != 'f' and ({floats}))"
    arrays = ", ".join(f"_array_{k}" for k in every)
    forward = "_forward"
    if p.kernel is not None:
        forward = "(_forward if _xp is _cpu else _primitive.on_cuda)"
    lines += [
        f"    if {unsuited}: {again}",
        "    if _xp is None:",  # an array that is not NumPy's
        f"        _xp = _namespace_of({arrays})",
        f"        if _xp is None{_tensors_in(p.options)}: {again}",
        "    try:",
        f"        _y = {forward}(_xp, {arrays}{''.join(f', {n}={n}' for n in p.options)})",
        "    except _wrong() as _error:",
        f"        raise _self.explained({given}, {options}, _error) from None",
        "    _mode = _mode_now()",
    ]
    lines += ["    _needs = 0"]
    for k in every:
        lines += [f"    if _node_{k} is not None: _needs += {1 << k}"]
    # A bit of its own says that the tail is left out.
    bare = f" + ({p.tail_option} is None) * {1 << count}" if p.tail_option else ""
    ys = ", ".join(p.output_variables)
    passed = [arrays, ys, *(f"_node_{k}, _version_{k}" for k in every), *p.options]
    recorded = f"_plans[_needs{bare}].record({', '.join(passed)}, _version, _mode)"
    if p.outputs:
        more = [] if first_output else p.output_variables[1:]
        nodes = ["_node", *(f"_node{y}" for y in more)]
        results = ["_result", *(f"_result{y}" for y in more)]
        lines += [
            f"    {ys} = _map(_asarray, _y)",
            "    _version = None",
            f"    if not _needs or not _mode & 1: {' = '.join(nodes)} = None",
            "    else:",
            f"        _node = {recorded}",
            *(f"        {node} = _Output(_node, {k})" for k, node in enumerate(nodes) if k),
        ]
        for result, y, node in zip(results, p.output_variables, nodes, strict=False):
            lines += _wrapped(result, y, node)
        return [*lines, f"    return {', '.join(results)}"]
    # Only a view, or an argument itself, shares an argument's memory and so its version.
    own = " and ".join(["_y.base is None", *(f"_y is not _array_{k}" for k in every)])
    fixed = " and ".join(f"_version_{k} is None" for k in every)
    # The result of floating operands mostly has their dtype, and need not be asked for its kind.
    same = "_y.dtype is not _dtype and " if p.floating or not p.separate else ""
    return [
        *lines,
        "    if _type(_y) is not _ndarray: _y = _asarray(_y)",
        f"    _version = None if ({own}) or ({fixed}) else _shared_version({given}, _y)",
        f"    if not _needs or not _mode & 1 or ({same}_y.dtype.kind != 'f'): _node = None",
        f"    else: _node = {recorded}",
        *_wrapped("_result", "_y", "_node", "_version"),
        "    return _result",
    ]


def _tensors_in(options: list[str]) -> str:
    """What is asked of options beside arrays of a GPU: NumPy reads an axis that is a tensor."""
    return f" or _holds_tensor(({', '.join(options)},))" if options else ""


def _holds_tensor(value: Any) -> bool:
    if type(value) is tuple or type(value) is list:
        return any(map(_holds_tensor, value))
    return type(value) in TYPES


def _read(value: Any) -> Any:
    """An option with numbers in the places of tensors."""
    if type(value) is tuple or type(value) is list:
        return type(value)(map(_read, value))
    return value.tolist() if type(value) in TYPES else value


def _wrapped(name: str, array: str, node: str, version: str = "None") -> list[str]:
    """The lines that make a tensor, as `Tensor._wrap` would."""
    return [
        f"    {name} = _new(_Tensor)",
        f"    {name}._data = {array}",
        f"    {name}._node = {node}",
        f"    {name}._version = {version}",
    ]


def _argument(k: int, name: str, joined: list[int], again: str) -> list[str]:
    """The lines that take one argument apart; those in `joined` must have one dtype."""
    lines = [
        f"    if _type({name}) in _TYPES:",
        f"        _array_{k} = {name}._data",
        f"        if _type(_array_{k}) is not _ndarray: _xp = None",
        f"        _node_{k} = {name}._node",
        f"        _version_{k} = {name}._version",
    ]
    if k in joined[:1]:
        lines += [f"        _dtype = _array_{k}.dtype"]
    elif k in joined:
        lines += [
            f"        if _dtype is None: _dtype = _array_{k}.dtype",
            f"        elif _dtype is not _array_{k}.dtype: {again}",
        ]
    return [
        *lines,
        f"    elif {name} is None{f' or _type({name}) in _SCALARS' if k in joined else ''}:",
        f"        _array_{k} = {name}",
        f"        _node_{k} = _version_{k} = None",
        f"    else: {again}",
    ]


def converted(
    primitive: Primitive,
    args: tuple[Any, ...],
    options: dict[str, Any],
    rest: tuple[Any, ...],
    unknown: dict[str, Any],
) -> Any:
    """The call again, with its arguments as tensors of one dtype; the errors of a wrong call."""
    said = f"{primitive.name}{primitive.__signature__}"
    if rest:
        raise OptionError(f"{said} was given {len(args) + len(options) + len(rest)} arguments")
    if unknown:
        raise OptionError(
            f"{primitive.name}: there is no option {', '.join(map(repr, unknown))}\n"
            f"  help: it is {said}"
        )
    lacking = [
        name
        for name, value in [*zip(primitive.arrays, args, strict=False), *options.items()]
        if value is MISSING
    ]
    if lacking:
        raise OptionError(f"{said} was not given {', '.join(lacking)}")
    unified = unify(primitive, args)
    names = [primitive.argument_name(k) for k in range(len(unified))]
    given = dict(zip(names, args, strict=True))
    common_device(primitive.name, dict(zip(names, unified, strict=True)), given)
    # On a device that is not the current one of this thread; or simply the call again.
    device = next((device_of(a._data) for a in unified if isinstance(a, Tensor)), CPU)
    with device.use():
        return primitive(*unified, **{name: _read(value) for name, value in options.items()})


def shared_version(args: tuple[Any, ...], y: Any) -> Version | None:
    """The version of the argument whose memory y is, or is a view of."""
    for a in args:
        if isinstance(a, Tensor) and a._version is not None:
            own = y is a._data
            if own or (y.base is not None and type(y) is type(a._data) and _overlap(a._data, y)):
                return a._version
    return None


def _overlap(x: Any, y: Any) -> bool:
    return bool(device_of(x).xp.may_share_memory(x, y))

"""gg.save and gg.load: nested containers of tensors and plain values in one safetensors file.

The tensors stand in the file under their paths (`model.0.weight`), so that any reader of
safetensors finds them. What is between them (dicts, lists, tuples, numbers, strings) stands as JSON
in the file's metadata, with a checksum over everything. Nothing is ever pickled or unpickled.
"""

from __future__ import annotations

import json
import math
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gpugrad.device import Device, as_device, to_host
from gpugrad.dtypes import KNOWN
from gpugrad.errors import FileError, GradError, OptionError
from gpugrad.tensor import Tensor

KEY = "gpugrad"
FORMAT = 1
PICKLES = {b"\x80": "a pickle", b"PK": "a zip archive, as torch.save and np.savez write it"}

Arrays = dict[str, np.ndarray[Any, Any]]


def save(obj: Any, path: str | Path) -> None:
    """Write nested dicts, lists and tuples of tensors, numbers, strings, bools and None to a file.

    The file is written aside, flushed to the disk and renamed, so that `path` always holds a whole
    file: the old one or the new one.

    Args:
        obj: whatever is saved. Keys may be strings, numbers, bools or None. Of a tensor its
            elements are saved, not its gradient; NumPy scalars become Python numbers.
        path: the file; `.safetensors` is the usual ending.
    Raises:
        OptionError: something in `obj` that cannot be saved; a Module or an optimizer as a whole.
        FileError: the file cannot be written.

    >>> import gpugrad as gg, pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder, "state.safetensors")
    ...     gg.save({"weights": [gg.tensor([1.0, 2.0])], "epoch": 3, "best": float("inf")}, file)
    ...     gg.load(file)
    {'weights': [tensor([1., 2.])], 'epoch': 3, 'best': inf}
    """
    library = _safetensors()
    arrays: Arrays = {}
    tree = json.dumps(_encode(obj, "", arrays, ()), separators=(",", ":"))
    if not arrays:  # without any tensor, safetensors 0.4 leaves out the metadata too
        arrays["nothing"] = np.zeros(0, np.uint8)
    note = {"format": FORMAT, "checksum": _checksum(tree, arrays), "tree": tree}
    write_whole(path, library.numpy.save(arrays, {KEY: json.dumps(note)}))


def load(path: str | Path, device: Device | str | None = None) -> Any:
    """Read what `save` wrote; the tensors are constants on `device`.

    A safetensors file from elsewhere gives a dict from names to tensors.

    Raises:
        FileError: the file is missing, truncated, corrupt, or no safetensors file.
        DeviceError: the device is unknown or absent.
    """
    target = as_device(device)
    library = _safetensors()
    content = _read(Path(path))
    header = _header(Path(path), content)
    try:
        # Copied, because the library's arrays are read-only views of bytes.
        arrays = {name: array.copy() for name, array in library.numpy.load(content).items()}
    except (library.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise _corrupt(path, f"its header does not describe it: {error}") from None
    for name, array in arrays.items():
        if array.dtype not in KNOWN:
            raise FileError(
                f"{path}: tensor {name!r} has a dtype that gpugrad does not know: {array.dtype}\n"
                "  help: convert it where the file was made"
            )
    tensors = {name: Tensor._wrap(target.put(array)) for name, array in arrays.items()}
    metadata = header.get("__metadata__", {})
    note = metadata.get(KEY)
    if note is None:
        if any('"checksum":' in value for value in metadata.values()):
            raise _corrupt(path, "gpugrad's part of the header has another name")
        return tensors
    try:
        known = json.loads(note)
        form, expected, tree = known["format"], known["checksum"], known["tree"]
    except (KeyError, TypeError, ValueError) as error:
        raise _corrupt(path, f"gpugrad's part of the header cannot be read: {error!r}") from None
    if form != FORMAT:
        raise FileError(
            f"{path}: the file has format {form!r}, this gpugrad reads format {FORMAT}\n"
            "  help: read it with the version of gpugrad that wrote it, or a newer one"
        )
    found = _checksum(tree, arrays)
    if found != expected:
        raise _corrupt(path, f"its checksum should be {expected}, but is {found}")
    return _decode(json.loads(tree), tensors)


def write_whole(path: str | Path, content: bytes | str) -> None:
    """Write a file aside, flush it to the disk, and rename it, so that it is never half there.

    Raises:
        FileError: the file cannot be written.
    """
    path = Path(path)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(aside, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
        if os.name == "posix":  # a rename is on the disk once the folder is
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise FileError(
            f"{path}: cannot write the file: {error.strerror or error}\n"
            "  help: the folder must exist and be writable, and the disk not full"
        ) from None


# The tree: JSON has lists, strings, bools, None and exact numbers; anything else is a dict with
# one key, which says what it is.


def _encode(obj: Any, path: str, arrays: Arrays, above: tuple[int, ...]) -> Any:
    if obj is None or isinstance(obj, (bool, str)):
        return obj
    if isinstance(obj, Tensor):
        name = _unused(path, arrays)
        arrays[name] = np.array(to_host(obj._data), order="C")
        return {"tensor": name}
    if isinstance(obj, np.generic):
        return _encode(obj.item(), path, arrays, above)
    if isinstance(obj, int):
        return int(obj)
    if isinstance(obj, float):
        return float(obj) if math.isfinite(obj) else {"float": repr(float(obj))}
    if id(obj) in above:
        raise OptionError(f"save: {_place(path)} contains itself")
    above = (*above, id(obj))
    if type(obj) in (list, tuple):
        items = [_encode(x, _join(path, i), arrays, above) for i, x in enumerate(obj)]
        return items if type(obj) is list else {"tuple": items}
    if isinstance(obj, Mapping):
        return {
            "dict": [
                [_encode_key(key, path), _encode(value, _join(path, key), arrays, above)]
                for key, value in obj.items()
            ]
        }
    raise _refusal(obj, path)


def _encode_key(key: Any, path: str) -> Any:
    if key is None or isinstance(key, (str, int, float, np.generic)):
        return _encode(key, path, {}, ())
    raise OptionError(
        f"save: {_place(path)} has a key of type {type(key).__name__}: {key!r}\n"
        "  help: keys may be strings, numbers, bools or None"
    )


def _decode(node: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(node, list):
        return [_decode(item, tensors) for item in node]
    if not isinstance(node, dict):
        return node
    ((kind, value),) = node.items()
    if kind == "tensor":
        return tensors[value]
    if kind == "float":
        return float(value)
    if kind == "tuple":
        return tuple(_decode(item, tensors) for item in value)
    return {_decode(key, tensors): _decode(item, tensors) for key, item in value}


def _join(path: str, key: Any) -> str:
    return f"{path}.{key}" if path else str(key)


def _unused(path: str, arrays: Arrays) -> str:
    """A name for the tensor at `path`; `{"a.b": x, "a": {"b": y}}` has two of one path."""
    name, count = path or "tensor", 1
    while name in arrays or name == "__metadata__":
        count += 1
        name = f"{path}#{count}"
    return name


def _place(path: str) -> str:
    return repr(path) if path else "the object"


def _refusal(obj: Any, path: str) -> GradError:
    kind = type(obj).__name__
    where = f" at {path!r}" if path else ""
    if hasattr(obj, "state_dict"):
        from gpugrad.nn import Module

        name = "model" if isinstance(obj, Module) else kind.lower()
        return OptionError(
            f"save: a {kind}{where} cannot be saved whole, since code is never saved\n"
            f"  help: save {name}.state_dict()"
        )
    if isinstance(obj, np.ndarray):
        help_ = "save gg.asarray(array), which comes back as a tensor"
    elif isinstance(obj, tuple):
        help_ = "save tuple(x), or x._asdict()"
    else:
        help_ = "nested dicts, lists and tuples of tensors, numbers, strings, bools and None can be"
    return OptionError(f"save: a {kind}{where} cannot be saved\n  help: {help_}")


def _checksum(tree: str, arrays: Arrays) -> int:
    """CRC-32 of the tree, and of each array's name, dtype, shape and elements."""
    total = zlib.crc32(tree.encode())
    for name in sorted(arrays):
        array = arrays[name]
        total = zlib.crc32(f"{name} {array.dtype.name} {array.shape}".encode(), total)
        total = zlib.crc32(array.reshape(-1).view(np.uint8).data, total)
    return total


# The file


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise FileError(
            f"{path}: there is no such file\n  looked in: {path.parent.resolve()}"
        ) from None
    except OSError as error:
        raise FileError(f"{path}: cannot read the file: {error.strerror or error}") from None


def _header(path: Path, content: bytes) -> dict[str, Any]:
    """The JSON before the tensors, once the file is as long as it says."""
    for start, kind in PICKLES.items():
        if content.startswith(start) and not content[8:9] == b"{":
            raise FileError(
                f"{path}: this is {kind}, not a safetensors file\n"
                "  help: gpugrad never unpickles, since a pickle can run any code; where the file "
                "was made, write it with safetensors"
            )
    size = int.from_bytes(content[:8], "little")
    if len(content) > 8 and content[8:9] != b"{":
        raise _corrupt(path, "it does not begin as a safetensors file")
    if len(content) < 8 + size:
        raise _truncated(path, 8 + max(size, 2), len(content))
    try:
        header = json.loads(content[8 : 8 + size])
        ends = [entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"]
        wanted = 8 + size + max(ends, default=0)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise _corrupt(path, f"its header cannot be read: {error}") from None
    if len(content) < wanted:
        raise _truncated(path, wanted, len(content))
    return dict(header)


def _truncated(path: str | Path, expected: int, found: int) -> FileError:
    return FileError(
        f"{path}: the file is truncated\n"
        f"  expected: at least {expected} bytes\n  found: {found} bytes"
    )


def _corrupt(path: str | Path, problem: str) -> FileError:
    return FileError(f"{path}: the file is corrupt: {problem}")


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError:
        from gpugrad._address import install_command

        raise FileError(
            f"gg.save and gg.load need the package safetensors\n  help: {install_command('train')}"
        ) from None
    return safetensors

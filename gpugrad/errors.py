"""The errors of gpugrad: each says what was wrong, with which operands, and what to do instead.

Every class derives from `GradError` and from the built-in exception that fits, so that
`except ValueError` and `except gg.errors.ShapeError` both work.
"""

from __future__ import annotations


class GradError(Exception):
    """Base class of every error that gpugrad raises on purpose."""


class ShapeError(GradError, ValueError):
    """Shapes do not fit together."""


class DtypeError(GradError, TypeError):
    """A dtype that the operation cannot take, or that gpugrad does not know."""


class DeviceError(GradError, RuntimeError):
    """A device that is unknown or absent, or operands on different devices."""


class OutOfDeviceMemory(GradError, MemoryError):
    """An array does not fit on the device."""


class LabelError(GradError, ValueError):
    """Class labels out of range or of the wrong kind."""


class IndexRangeError(GradError, IndexError):
    """An index outside its axis, or of a kind that cannot index."""


class OptionError(GradError, ValueError):
    """A setting that is impossible, or an option that does not exist."""


class GraphError(GradError, RuntimeError):
    """The graph cannot answer: not scalar, already freed, or nothing requires a gradient."""


class VersionError(GradError, RuntimeError):
    """A value that a backward pass needs was overwritten in place."""


class AnomalyError(GradError, ArithmeticError):
    """A NaN appeared where `gg.detect_anomaly()` watches."""


class GradientCheckError(GradError, AssertionError):
    """A gradient differs from its finite difference."""


class NumpyFunctionError(GradError, TypeError):
    """A function of NumPy or CuPy that is not recorded was called on a tensor."""


class MemberError(GradError, AttributeError):
    """A tensor has no attribute or method of that name."""


class DataError(GradError, ValueError):
    """A data set or table whose contents cannot be used."""


class FileError(GradError, OSError):
    """A file that is missing, truncated, corrupt or cannot be written."""


class StateError(GradError, ValueError):
    """A state_dict whose keys, shapes or settings do not match."""

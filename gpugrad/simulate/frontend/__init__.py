"""From a Numba kernel and its arguments to PTX and machine code, with no GPU."""

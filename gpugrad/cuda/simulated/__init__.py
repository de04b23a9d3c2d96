"""A stand-in for CuPy whose arrays lie in the memory of a simulated GPU."""

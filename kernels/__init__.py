"""GPU kernels, one file each, written in Numba; installed as `gpugrad.kernels`.

A kernel stands beside the NumPy expression that it must equal, and every launch goes through
one launcher, `launch.py`.
"""

"""A kernel of your own, as an operation with derivatives: SwiGLU in one pass over its arguments.

python examples/swiglu.py [cpu | cuda | auto]
"""

import math
import sys

import gpugrad as gg

try:
    from numba import cuda, float32, int32
except ImportError:
    sys.exit("This example needs Numba: pip install '.[simulate]' in a clone of gpugrad.")


def swiglu(xp, x, gate, /):
    """What the kernel computes: it runs on the CPU, and every derivative is taken of it."""
    return x * gate * xp.sigmoid(gate)


@gg.kernel(like=swiglu)
def fused(x, gate, out):
    i = int32(cuda.grid(1))
    while i < out.size:  # any number of blocks does: each thread strides over the rest
        g = gate[i]
        out[i] = x[i] * g / (float32(1) + math.exp(-g))
        i = int32(i + cuda.gridsize(1))


device = gg.device(sys.argv[1] if len(sys.argv) > 1 else "auto")
generator = gg.Generator(0)
x, gate = (gg.randn(4, 1000, generator=generator, device=device) for _ in range(2))
y = fused(x, gate)
plain = x * gate * gg.sigmoid(gate)
print(f"on {y.device}: as the expression within {abs(y - plain).max().item():.0e}")

# Derivatives beside nudges, to second order, in float64: the kernel is float32, so there the
# expression runs, which is what is differentiated.
a, b = (t[:2, :3].astype(gg.float64) for t in (x, gate))
gg.check_grad(fused, a, b, order=2)
print("first and second derivatives agree with nudges")

# The kernel in a fit, by Newton's method: which w made the target?
target = fused(x, 2.0 * gate).detach()


def loss(w):
    return ((fused(x, w * gate) - target) ** 2).mean()


w = gg.tensor(1.5, device=device)
for _ in range(4):
    w = w - gg.grad(loss)(w) / gg.grad(gg.grad(loss))(w)
print(f"w {w.item():.5f}, loss {loss(w).item():.0e}")

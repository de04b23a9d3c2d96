"""A small expression of two numbers, its gradients, and a nudge beside each.

    python examples/from_micrograd.py

The expression is the one at the top of micrograd's README, multiplied out. What micrograd does with
one number in each node, gpugrad does with whole arrays: the last lines differentiate the same
expression at four points at once.
"""

import gpugrad as gg


def expression(a, b):
    c = 3 * a + 4 * b + 3
    d = 12 * (a * b + b**3) + 4 * gg.relu(a + b) + gg.relu(b - a)
    e = c - d
    return e**2 / 2 + 10 / e**2


def nudge(f, x, h=1e-6):
    """The slope of f at x, seen by moving x a little down and up."""
    return (f(x + h) - f(x - h)) / (2 * h)


# Forward: compute the value. float64, so that a nudge of a millionth can be seen.
a = gg.tensor(-4.0, dtype="float64", requires_grad=True)
b = gg.tensor(2.0, dtype="float64", requires_grad=True)
g = expression(a, b)
print(f"g      {g.item():.4f}")

# Backward: the chain rule, from g to everything that it was computed from.
g.backward()
a_nudged = nudge(lambda x: expression(x, b.detach()), a.detach())
b_nudged = nudge(lambda x: expression(a.detach(), x), b.detach())
print(f"dg/da  {a.grad.item():.4f}   by a nudge {a_nudged:.4f}")
print(f"dg/db  {b.grad.item():.4f}   by a nudge {b_nudged:.4f}")

# The same as a function that gives the gradient, for many numbers at once.
points = gg.tensor([-4.0, -3.0, -1.0, 1.0], dtype="float64")
slopes = gg.grad(lambda x: expression(x, 2.0).sum())(points)
by_nudge = nudge(lambda x: expression(x, 2.0), points)
for x, slope, nudged in zip(points.tolist(), slopes.tolist(), by_nudge.tolist(), strict=True):
    print(f"a = {x:4.1f}   dg/da {slope:9.4f}   by a nudge {nudged:9.4f}")

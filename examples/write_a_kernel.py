# %% [markdown]
# # Write a kernel and differentiate it
#
# SwiGLU, the gate in the layers of many language models, is `x * gate * sigmoid(gate)`. NumPy and
# CuPy compute it in steps, and each step reads its operands from memory and writes its result
# back. You will write one kernel that does all of it in a single pass, and see
#
# - what a simulated GPU says about a kernel that reads too far, and one whose threads collide,
# - how many bytes the finished one moves, and what machine code it becomes for a T4,
# - its first and second derivatives, which you need not write, beside nudges,
# - how long it takes, if there is a GPU.
#
# None of it but the last needs a GPU. Run the cells from top to bottom with Shift+Enter.

# %% [markdown]
# ## Install
#
# gpugrad alone: a Colab runtime with a GPU has Numba's compiler for CUDA, numba-cuda, in the
# version that fits its driver, so it is not upgraded. A runtime without a GPU lacks it; there, and
# only there, run `%pip install -q "numba-cuda[cu12]==0.22.2"` as well.

# %% tags=["skip-execution"]
# %pip install -q gpugrad

# %%
import math
import time

import numpy as np
from numba import cuda, float32, int32

import gpugrad as gg
from gpugrad import simulate

# %% [markdown]
# ## The device

# %%
device = gg.device("auto")
if device.kind == "cuda":
    print(f"The kernel will run on {device}, {device.name}.")
else:
    print(
        "gpugrad finds no GPU, so everything below runs on the CPU; in Colab, Runtime > Change "
        "runtime type > T4 GPU gives one, and `!gpugrad doctor` says what else may be missing."
    )

# %% [markdown]
# ## The data
#
# Two arrays, of a size that is no multiple of anything. Numbers drawn at random will do here.

# %%
rng = np.random.default_rng(0)
x, gate = (rng.standard_normal(1000).astype(np.float32) for _ in range(2))
out = np.zeros_like(x)

# %% [markdown]
# ## What it computes
#
# The expression comes first. `xp` is NumPy on the CPU and CuPy on a GPU; the `/` ends the arrays.


# %%
def swiglu(xp, x, gate, /):
    """x * gate * sigmoid(gate)."""
    return x * gate * xp.sigmoid(gate)


expected = swiglu(gg.ops, x, gate).numpy()

# %% [markdown]
# ## A first kernel
#
# A kernel says what one thread does; many thousand run it, and `cuda.grid(1)` is the number of the
# thread that asks. `float32(1)` rather than `1`: a bare number would have all of it computed
# in float64, which a T4 does 32 times more slowly.
#
# `simulate.run` runs the very instructions that a GPU would be given, and looks at each access.


# %%
@cuda.jit
def hasty(x, gate, out):
    i = cuda.grid(1)
    g = gate[i]
    out[i] = x[i] * g / (float32(1) + math.exp(-g))


try:
    simulate.run(hasty, 4, 256, x, gate, out)  # 4 blocks of 256 threads
except simulate.MemoryFault as fault:
    print(fault)

# %% [markdown]
# Four blocks have 1,024 threads, the arrays 1,000 elements: threads 1,000 to 1,023 read what is not
# theirs. A GPU would have given them some number and written over its neighbour.
#
# The cure is a loop in which each thread strides over the array by the number of all threads.
# Then any number of blocks is right. The indices stay `int32`: Numba would make them 64 bits wide.


# %%
@cuda.jit
def striding(x, gate, out):
    i = int32(cuda.grid(1))
    while i < out.size:
        g = gate[i]
        out[i] = x[i] * g / (float32(1) + math.exp(-g))
        i = int32(i + cuda.gridsize(1))


report = simulate.run(striding, 3, 256, x, gate, out)
print(f"as the expression within {abs(out - expected).max():.0e}\n")
print(report)

# %% [markdown]
# ## The bytes it moves
#
# Such a kernel waits for memory, so its bytes are its time. It loads two floats and stores one for
# each element: 12 bytes. One step after another, `sigmoid`, the first product and the second load
# five floats and store three: 32 bytes. Memory is read in sectors of 32 bytes, so neighbouring
# threads should read neighbouring floats; then there are as few as can be.

# %%
moved = report.loaded_bytes + report.stored_bytes
print(f"{moved / x.size:.0f} bytes an element")
print(f"{report.load_sectors} sectors loaded, where {report.ideal_load_sectors} would do")

# %% [markdown]
# The same, line by line: here you see which line to blame.

# %%
print(report.lines())

# %% [markdown]
# ## A race
#
# The sum of the results, written without a thought. Two threads read the same old total, both add
# to it, and one of the additions is lost. A GPU gives another sum each time; the simulated one does
# not wait for bad luck: it looks whether anything puts the two in an order.


# %%
@cuda.jit
def colliding(y, total):
    i = int32(cuda.grid(1))
    while i < y.size:
        total[0] += y[i]
        i = int32(i + cuda.gridsize(1))


try:
    simulate.run(colliding, 3, 256, out, np.zeros(1, np.float32))
except simulate.RaceError as race:
    print(race)

# %% [markdown]
# ## Machine code for a T4
#
# No GPU is needed for this either. The fewer registers a thread takes, the more threads are at
# work at a time, and hide each other's waiting; what does not fit is spilled to slow memory.

# %%
code = simulate.compile(striding, [x, gate, out], cc=(7, 5))
fits = code.occupancy(256)
print(f"{code.registers} registers a thread, {code.spilled_bytes} bytes spilled")
print(f"{fits.blocks} blocks of 256 threads fill a multiprocessor to {fits.fraction:.0%}")

# %% [markdown]
# ## An operation with derivatives
#
# `gg.kernel(like=swiglu)` joins the two: an operation that runs the kernel on a GPU and the
# expression elsewhere, and whose derivatives are the expression's, of any order. It can stand as a
# decorator above the kernel: `@gg.kernel(like=swiglu)`.

# %%
fused = gg.kernel(like=swiglu)(striding)

a, b = gg.tensor(x, device=device), gg.tensor(gate, device=device)
y = fused(a, b)
print(f"on {y.device}: as the expression within {abs(y.numpy() - expected).max():.0e}")

# %% [markdown]
# A derivative is what a nudge does. `check_grad` nudges every input a little up and down, and
# compares; with `order=2` the derivative's own derivatives too. It needs float64: in float32 a
# nudge drowns in rounding.

# %%
exact = [t[:6].astype(gg.float64) for t in (a, b)]
gg.check_grad(fused, *exact, order=2)
print("first and second derivatives agree with nudges")

# %%
slope = gg.grad(lambda gate: fused(1.0, gate))
curve = gg.grad(slope)
at = gg.tensor(0.5, device=device)
nudge = 1e-2
by_nudge = (fused(1.0, at + nudge) - fused(1.0, at - nudge)) / (2 * nudge)
print(f"d/dgate at 0.5: {slope(at).item():.4f}, by a nudge {by_nudge.item():.4f}")
print(f"and its own derivative: {curve(at).item():.4f}")

# %% [markdown]
# ## Exercises
#
# 1. Write `1.0` in place of `float32(1)` and run the report again. What does it find?
# 2. Let each thread compute `out.size // cuda.gridsize(1)` elements side by side instead of
#    striding. How many sectors does it load, and why?
# 3. Mend `colliding` with `cuda.atomic.add(total, 0, y[i])`. The race is gone; what does the report
#    say now? `gg.sum` does without: see `kernels/reduce.py`.
# 4. Change one sign in the kernel and call `fused` again. Which of the checks above notices, and
#    on which device?
# 5. GEGLU is `x * gelu(gate)`. Write its expression with `xp.erf` and its kernel with `math.erf`,
#    and check its gradient.

# %% [markdown]
# ## Timing
#
# The kernel beside the same expression in steps, for 16 million elements: on the CPU, and on the
# GPU if there is one.


# %%
def milliseconds(function, device, size, times=10):
    """How long a call takes, the first one (which compiles) left out."""
    arrays = [gg.randn(size, generator=gg.Generator(seed), device=device) for seed in (0, 1)]
    function(*arrays)
    wait_for(device)
    begun = time.perf_counter()
    for _ in range(times):
        function(*arrays)
    wait_for(device)
    return (time.perf_counter() - begun) / times * 1000


def wait_for(device):
    """A GPU is handed its work and does it later: the clock has to wait for it."""
    if device.kind == "cuda":
        gg.cuda.synchronize(device)


def in_steps(x, gate):
    return x * gate * gg.sigmoid(gate)


cpu = gg.device("cpu")
has_gpu = device.kind == "cuda" and not gg.cuda.is_simulated()
SIZE = 2**24 if has_gpu else 2**20
print(f"cpu   in steps {milliseconds(in_steps, cpu, SIZE):8.2f} ms for {SIZE:,} elements")
if has_gpu:
    steps, once = milliseconds(in_steps, device, SIZE), milliseconds(fused, device, SIZE)
    print(f"cuda  in steps {steps:8.2f} ms\ncuda  fused    {once:8.2f} ms")
    print(f"fused: {12 * SIZE / once / 1e6:.0f} GB/s; the data sheet of a T4 says 320")
else:
    print("There is no GPU here to time the kernel on.")

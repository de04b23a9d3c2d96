# %% [markdown]
# # Train a network on a GPU
#
# A small network learns to read handwritten digits. You will see
#
# - one program that runs on a GPU or on the CPU, with one word between the two,
# - its loss fall, and its accuracy on digits that it was never shown rise,
# - what a training step costs on each, and when the GPU is worth it.
#
# Run the cells from top to bottom with Shift+Enter; it takes a minute.

# %% [markdown]
# ## Install
#
# gpugrad alone: what else it needs is here already, in versions that fit each other and the
# GPU's driver, so none of it is upgraded.

# %% tags=["skip-execution"]
# %pip install -q gpugrad

# %%
import time
from pathlib import Path

import numpy as np

import gpugrad as gg
import gpugrad.nn.functional as F

# %% [markdown]
# ## The device
#
# `"auto"` is the GPU if there is one. Everything below is made on `device`, or is moved there by
# `.to(device)`: nothing moves by itself.

# %%
device = gg.device("auto")
if device.kind == "cuda":
    print(f"Everything below runs on {device}, {device.name}.")
else:
    print(
        "gpugrad finds no GPU, so everything below runs on the CPU; in Colab, Runtime > Change "
        "runtime type > T4 GPU gives one, and `!gpugrad doctor` says what else may be missing."
    )

# %% [markdown]
# ## The data
#
# Every Colab runtime has a part of MNIST: images of 28 by 28 pixels, one a row, the label first.
# Elsewhere the digits that come with gpugrad do, of 8 by 8 pixels. A fifth is held out: the
# network never learns from it, so it shows what was understood and what only remembered.

# %%
MNIST = Path("/content/sample_data/mnist_train_small.csv")
if MNIST.exists():
    table = np.loadtxt(MNIST, delimiter=",", dtype=np.uint8)
    images, labels, side = table[:, 1:] / np.float32(255), table[:, 0].astype(np.int64), 28
    print(f"{len(labels):,} digits of MNIST, from Colab's sample data")
else:
    digits = gg.data.load_digits()
    images, labels, side = digits.features.numpy(), digits.labels.numpy(), 8
    print(f"{len(labels):,} digits that come with gpugrad (UCI): there is no {MNIST} here")

order = gg.Generator(0).permutation(len(labels))
held_out, training = np.split(order, [len(order) // 5])
x, y = gg.tensor(images[training], device=device), gg.tensor(labels[training], device=device)
unseen = gg.tensor(images[held_out], device=device), gg.tensor(labels[held_out], device=device)

# %% [markdown]
# ## The network
#
# Each layer multiplies by a matrix of weights and adds a bias; between layers, what is negative
# becomes zero. The ten numbers at the end are scores, one for each digit. The weights are drawn on
# the host from a seed, so they are the same ones on every device.

# %%
gg.manual_seed(0)
model = gg.nn.MLP([side * side, 256, 128, 10], dropout=0.1).to(device)
optimizer = gg.optim.Adam(model.parameters(), lr=1e-3)
loader = gg.data.DataLoader((x, y), batch_size=64, shuffle=True)
print(f"{sum(p.size for p in model.parameters()):,} weights, {len(loader)} batches an epoch")

# %% [markdown]
# ## Training
#
# For each batch: the loss says how wrong the scores are; `loss.backward()` finds how the loss
# changes with each weight, by the chain rule from the end to the beginning; the optimizer moves
# each weight a little against its gradient.
#
# `.item()` waits until the GPU has caught up. So the losses are added up where they are, and read
# once an epoch.

# %%
EPOCHS = 10
losses, accuracies = [], []
for epoch in range(EPOCHS):
    begun, total = time.perf_counter(), gg.zeros((), device=device)
    model.train()
    for images_of_batch, labels_of_batch in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images_of_batch), labels_of_batch)
        loss.backward()
        optimizer.step()
        total = total + loss.detach()
    losses.append(total.item() / len(loader))
    accuracies.append(gg.train.evaluate(model, unseen)["accuracy"])
    print(
        f"epoch {epoch + 1:2}: loss {losses[-1]:.4f}, held-out accuracy "
        f"{accuracies[-1]:.2%}, {time.perf_counter() - begun:.2f} s"
    )

# %% [markdown]
# The first epoch on a GPU takes longer than the others: the kernels are compiled in it.
#
# ## The learning curve
#
# The loss is of the training part and goes on falling; the accuracy is of the held-out part and
# levels off. Where the two part, the network has begun to learn the images by heart.

# %%
scores = gg.train.predict(model, unseen[0]).numpy()
read, meant = scores.argmax(axis=1), labels[held_out]
wrong = np.flatnonzero(read != meant)
print(f"{len(wrong)} of {len(meant)} held-out digits are misread")
try:
    import matplotlib.pyplot as plt
except ImportError:
    print("There is no matplotlib here: the rows above are the curve.")
else:
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.5), layout="constrained")
    epochs = range(1, EPOCHS + 1)
    left.plot(epochs, losses, "o-")
    left.set(xlabel="epoch", ylabel="training loss")
    right.plot(epochs, accuracies, "o-", color="tab:green")
    right.set(xlabel="epoch", ylabel="held-out accuracy")

    figure, places = plt.subplots(1, 8, figsize=(10, 1.8))
    for place, k in zip(places, wrong, strict=False):
        place.imshow(images[held_out[k]].reshape(side, side), cmap="gray_r")
        place.set_title(f"{meant[k]}, read {read[k]}", fontsize=9)
    for place in places:
        place.axis("off")

# %% [markdown]
# ## Exercises
#
# 1. Leave out the line `optimizer.zero_grad()`. What happens to the loss, and why?
# 2. Make the step ten times as long (`lr=1e-2`), then a hundred times. Where does it stop learning?
# 3. Replace `Adam` by `gg.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)`. Can you find a
#    rate with which it is as good?
# 4. Set `dropout=0`. Which of the two curves shows the difference?
# 5. Read `loss.item()` in every step. What does it cost on a GPU, and what on the CPU?
# 6. On a GPU, leave out `.to(device)` after the model and read the error.

# %% [markdown]
# ## Timing
#
# The same training step on the CPU and on the GPU. Handing an operation to a GPU takes some
# microseconds however small it is, so narrow networks gain nothing; wide ones do.


# %%
def milliseconds_a_step(device, width, steps=10):
    """How long a step of a network takes that is so wide, for 256 images of 784 pixels."""
    model = gg.nn.MLP([784, width, width, 10], generator=gg.Generator(0)).to(device)
    optimizer = gg.optim.SGD(model.parameters(), lr=0.01)
    x = gg.randn(256, 784, generator=gg.Generator(1), device=device)
    y = gg.zeros(256, dtype=gg.int64, device=device)
    for step in range(-3, steps):
        if step == 0:  # the three before it compiled what is to be compiled
            wait_for(device)
            begun = time.perf_counter()
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    wait_for(device)
    return (time.perf_counter() - begun) / steps * 1000


def wait_for(device):
    """A GPU is handed its work and does it later: the clock has to wait for it."""
    if device.kind == "cuda":
        gg.cuda.synchronize(device)


cpu = gg.device("cpu")
has_gpu = device.kind == "cuda" and not gg.cuda.is_simulated()
print("width    cpu ms" + ("   cuda ms" if has_gpu else "   (no GPU to time beside it)"))
for width in (32, 256, 1024):
    row = f"{width:5} {milliseconds_a_step(cpu, width):9.2f}"
    print(row + (f" {milliseconds_a_step(device, width):9.2f}" if has_gpu else ""))

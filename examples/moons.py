"""Two half moons, a network that tells them apart, and a picture of where it draws the line.

python examples/moons.py [picture.png]
"""

import sys

import numpy as np
from matplotlib.figure import Figure

import gpugrad as gg

picture = sys.argv[1] if len(sys.argv) > 1 else "moons.png"

gg.manual_seed(0)
train, held_out = gg.data.load_moons(600, noise=0.2).split(0.25, seed=0)

model = gg.nn.MLP([2, 32, 32, 2], activation="tanh")
optimizer = gg.optim.AdamW(model.parameters(), lr=0.01)
for epoch in range(40):
    for x, y in gg.data.DataLoader(train, batch_size=32, shuffle=True):
        optimizer.zero_grad()
        loss = gg.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    if epoch % 10 == 9:
        print(f"epoch {epoch + 1}: loss of the last batch {loss.item():.3f}")

accuracy = gg.train.evaluate(model, held_out)["accuracy"]
print(f"held-out accuracy {100 * accuracy:.1f} %")

# The probability of the lower moon, at each point of a grid.
across, up = np.meshgrid(np.linspace(-2, 3, 200), np.linspace(-1.5, 2, 150))
grid = np.stack([across.ravel(), up.ravel()], axis=1).astype(np.float32)
outputs = gg.train.predict(model, grid)
lower = gg.softmax(outputs, 1).numpy()[:, 1].reshape(across.shape)

figure = Figure(figsize=(6, 4.5), layout="constrained")
axes = figure.subplots()
axes.contourf(across, up, lower, levels=20, cmap="RdBu", vmin=0, vmax=1)
axes.contour(across, up, lower, levels=[0.5], colors="black")
points, labels = held_out.features.numpy(), held_out.labels.numpy()
axes.scatter(*points.T, c=labels, cmap="RdBu", edgecolors="black", s=25)
axes.set_title(f"held-out points, {100 * accuracy:.1f} % on the right side")
figure.savefig(picture)
print(f"the decision boundary is in {picture}")

"""Handwritten digits: a training loop as it is written in PyTorch, on MNIST's own files.

    python examples/mnist.py FOLDER [IMAGES] [EPOCHS]

FOLDER holds the four IDX files, gzipped or not; IMAGES takes only so many of the 60,000.
"""

import sys
import time

import gpugrad as gg
import gpugrad.nn.functional as F


class Network(gg.nn.Module):
    def __init__(self):
        self.first = gg.nn.Linear(28 * 28, 128)
        self.dropout = gg.nn.Dropout(0.1)
        self.second = gg.nn.Linear(128, 10)

    def forward(self, x):
        return self.second(self.dropout(F.relu(self.first(x))))


if len(sys.argv) < 2:
    sys.exit(__doc__)
mnist = gg.data.load_mnist(sys.argv[1])
images = int(sys.argv[2]) if len(sys.argv) > 2 else len(mnist)
epochs = int(sys.argv[3]) if len(sys.argv) > 3 else 5
train, test = mnist.subset(range(min(images, len(mnist)))), mnist.test

gg.manual_seed(0)
model = Network()
optimizer = gg.optim.Adam(model.parameters(), lr=1e-3)
loader = gg.data.DataLoader(train, batch_size=64, shuffle=True)
for epoch in range(epochs):
    begun, total = time.perf_counter(), 0.0
    model.train()
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        total += loss.item()
    accuracy = gg.train.evaluate(model, test)["accuracy"]
    print(
        f"epoch {epoch + 1}: loss {total / len(loader):.4f}, test accuracy "
        f"{100 * accuracy:.2f} %, {time.perf_counter() - begun:.1f} s"
    )

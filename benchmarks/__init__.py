"""Speed, memory and import time of gpugrad beside other libraries: `python -m benchmarks`."""

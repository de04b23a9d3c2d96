"""`python -m benchmarks --device cuda`: what gpugrad does on a GPU, beside what was predicted."""

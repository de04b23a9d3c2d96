"""The machine that runs a program: threads, memory, barriers, shuffles, and what goes wrong."""

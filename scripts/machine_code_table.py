"""Write tests/kernels/machine_code.json: registers and shared memory of every kernel.

Run it from the root of the repository, with each toolchain of which the table is to speak.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.kernels.machine_code import toolchain, write

if __name__ == "__main__":
    write()
    print(f"written for {toolchain()}")

"""The command `gpugrad`: reads options, hands the work to `gpugrad.train`, and words its errors."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

import numpy as np

from gpugrad.errors import AnomalyError, GradError

USAGE, FAILURE, INTERRUPTED = 2, 1, 130

# The library's errors name its own spellings; on the command line these are options.
SPELLINGS = (
    (r'load_csv\(\.\.\., missing="impute"\)', "--missing impute"),
    (r"\bcategorical=\['(.+?)'\]", r"--categorical '\1'"),
    (r"\bdrop=\['(.+?)'\]", r"--drop '\1'"),
    (r'\btask="(\w+)"', r"--task \1"),
    (r"\bload_mnist\(root, download=True\)", "gpugrad train --data mnist (without --root)"),
    (r"\bload_mnist\(root\)", "--root FOLDER"),
    (r"\bdevice\('(.+?)'\)", r"--device \1"),
    (r'\bdevice="([\w:]+)"', r"--device \1"),
    (r"\baugment=True", "--augment"),
    (
        r"\b(data|file|target|root|hidden|activation|dropout|optimizer|lr|schedule|weight_decay|"
        r"batch_size|epochs|patience|device|dtype|seed|task|missing|categorical|drop)="
        r"(?:'([^']*)'|(?=\S))",
        lambda match: f"--{match[1].replace('_', '-')} {match[2] or ''}",
    ),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, 1 (failed), 2 (impossible) or 130 (Ctrl-C).

    Args:
        arguments: what stands after `gpugrad`; None takes the process's own.
    """
    try:
        from gpugrad.cli import app
    except ImportError as error:
        if error.name not in ("typer", "rich"):
            raise
        from gpugrad._address import install_command

        return _complain(f"the command line needs the package {error.name}; "
                         f"help: {install_command('train')}", USAGE)  # fmt: skip
    try:
        with np.errstate(all="ignore"):  # a loss that is not finite is told in one line
            return app.run(sys.argv[1:] if arguments is None else list(arguments))
    except AnomalyError as error:
        return _complain(one_line(error), FAILURE)
    except GradError as error:
        return _complain(one_line(error), USAGE)
    except MemoryError as error:
        return _complain(f"out of memory: {error}; help: smaller --hidden or --batch-size", USAGE)
    except BrokenPipeError:
        # The reader of a pipe has gone; without this, Python complains again as it exits.
        sys.stdout = None
        return FAILURE
    except KeyboardInterrupt:
        return _complain("interrupted", INTERRUPTED)


def one_line(error: BaseException) -> str:
    """An error's lines as one, in the words of the command line.

    >>> from gpugrad.errors import OptionError
    >>> one_line(OptionError("batch_size=0: must be at least 1\\n  help: take more"))
    '--batch-size 0: must be at least 1; help: take more'
    """
    text = "; ".join(line.strip() for line in str(error).splitlines())
    for pattern, words in SPELLINGS:
        text = re.sub(pattern, words, text)
    return text


def _complain(message: str, status: int) -> int:
    print(f"gpugrad: {message}", file=sys.stderr)
    return status

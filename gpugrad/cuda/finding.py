"""What one check of the GPU software found."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError


@dataclass(frozen=True)
class Finding:
    """What was looked at, what was there, and what is wrong with it.

    Attributes:
        about: what was looked at.
        found: what was there, in a few words.
        problem: what is wrong, as a clause on one line; empty if nothing is.
        mend: what mends it: one command, or one thing to do.
        looked_at: False if there was nothing to look at, because something else is missing.
    """

    about: str
    found: str = ""
    problem: str = ""
    mend: str = ""
    looked_at: bool = True

    def __str__(self) -> str:
        return f"{self.problem}\n  help: {self.mend}" if self.problem else self.found

    @property
    def verdict(self) -> str:
        """ "ok", "problem", or "-" where there was nothing to look at."""
        if self.problem:
            return "problem"
        return "ok" if self.looked_at else "-"


def report() -> str:
    """What to do where no command mends it."""
    from gpugrad._address import repository

    try:
        return f"report it with what gpugrad doctor prints: {repository()}/issues"
    except (PackageNotFoundError, LookupError):  # on the path, not installed
        return "report it with what gpugrad doctor prints"


def skipped(about: str, why: str) -> Finding:
    """The finding where there is nothing to look at.

    >>> skipped("GPU", "needs the driver").verdict
    '-'
    """
    return Finding(about, why, looked_at=False)

"""Where gpugrad lives on the web: written once, in `pyproject.toml`, and read from the metadata.

Reading the metadata takes milliseconds, so it is done when an address is asked for and never
at import.
"""

from __future__ import annotations


def repository() -> str:
    """The address of the repository, from `[project.urls]` in `pyproject.toml`.

    Raises:
        importlib.metadata.PackageNotFoundError: gpugrad is on the path but not installed.

    >>> repository().endswith("/gpugrad")
    True
    """
    from importlib.metadata import metadata

    for entry in metadata("gpugrad").get_all("Project-URL", []):
        label, _, address = str(entry).partition(", ")
        if label == "Repository":
            return address
    raise LookupError("gpugrad's metadata names no Repository")


def install_command(extra: str) -> str:
    """The line that installs gpugrad with one of its extras, for the help text of an error.

    >>> install_command("train").startswith("pip install 'gpugrad[train] @ git+https://")
    True
    """
    from importlib.metadata import PackageNotFoundError

    try:
        return f"pip install 'gpugrad[{extra}] @ git+{repository()}'"
    except (PackageNotFoundError, LookupError):  # on the path, not installed
        return f"pip install 'gpugrad[{extra}]'"

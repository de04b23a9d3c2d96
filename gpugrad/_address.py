"""Where gpugrad lives on the web: written once, in `pyproject.toml`, and read from the metadata.

Reading the metadata takes milliseconds, so it is done when an address is asked for and never
at import.
"""

from __future__ import annotations

PLACEHOLDER = "/OWNER/"


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

    While `pyproject.toml` has a placeholder for the address, gpugrad comes from a clone alone, and
    the line is for its folder.

    >>> install_command("train").startswith("pip install '")
    True
    """
    from importlib.metadata import PackageNotFoundError

    try:
        address = repository()
        if PLACEHOLDER in address:
            return f"pip install '.[{extra}]'"
        return f"pip install 'gpugrad[{extra}] @ git+{address}'"
    except (PackageNotFoundError, LookupError):  # on the path, not installed
        return f"pip install 'gpugrad[{extra}]'"

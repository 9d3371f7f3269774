"""A run as it is typed: the name of a folder in `reports`, or a path."""

from pathlib import Path

from hale.model.errors import UserError


def find_folder(run: str, reports: Path) -> Path:
    """The folder of a run. Raises UserError if there is none."""
    folder = next((place for place in _places(run, reports) if place.is_dir()), None)
    if folder is None:
        raise UserError(f"no run {run} in {reports}.")
    return folder


def find_file(run: str, reports: Path, name: str) -> Path:
    """The file of that name in the folder of a run, or the file whose path is typed.

    Raises UserError if there is no such run.
    """
    if file := next((place for place in _places(run, reports) if place.is_file()), None):
        return file
    return find_folder(run, reports) / name


def _places(run: str, reports: Path) -> tuple[Path, ...]:
    """Where it may be; an empty text is no run."""
    return (reports / run, Path(run)) if run else ()

"""The manifest of a drill's folder."""

from pathlib import Path

from hale.apply import sealing
from hale.apply.reporter import Reporter
from hale.drill import journal


def seal_drill(folder: Path, report: Reporter) -> None:
    """Write the manifest of a drill whose journal has its end: nothing is left to revert."""
    history = journal.load_drill(folder)
    if history is not None and history.end is not None:
        sealing.seal_folder(folder, report)

"""The manifest of a run that changed hosts, written as its last act (hale/files/manifest.py)."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hale.apply import journal
from hale.apply.reporter import Reporter
from hale.files import manifest, signature
from hale.model.errors import UserError


def seal_run(folder: Path, report: Reporter) -> None:
    """Write the manifest of a fix, undo, install or reset whose journal has its end, or has none.

    A manifest that cannot be made or signed never ends a run: report(host, text) is called.
    """
    begun = (folder / journal.NAME).is_file()
    try:
        history = journal.read_run(folder) if begun else None
    except UserError as error:
        report("", f"{manifest.NAME} is not written: {error}")
        return
    if history is None or history.end is not None:
        seal_folder(folder, report)


def seal_folder(folder: Path, report: Reporter) -> None:
    """Write the manifest of a run that has ended, and sign it if asked; reports what fails."""
    try:
        signature.seal(folder)
    except UserError as error:
        report("", f"{manifest.NAME} of {folder.name}: {error}")


@contextmanager
def recovered(folder: Path, report: Reporter) -> Iterator[None]:
    """Write the manifest of an earlier run again, after a later one has recovered it.

    Not where its files are not those of the manifest that it has: that would hide it.
    """
    tampered = False
    try:
        if (folder / manifest.NAME).exists():
            tampered = bool(manifest.differences(folder, manifest.read(folder)))
    except UserError:
        tampered = True
    yield
    if tampered:
        report("", f"{folder.name} was changed after its end: invoke report verify {folder.name}")
    else:
        seal_run(folder, report)

"""`invoke report RUN --format change`: the page of a change, made from what its folder has now."""

from collections.abc import Callable
from pathlib import Path

from hale.apply import change_page as apply_page
from hale.apply import journal
from hale.cli import run_folder
from hale.drill import change_page as drill_page
from hale.drill import journal as drill_journal
from hale.install import change_page as install_page
from hale.model.errors import UserError
from hale.report.change import page
from hale.report.change.model import ChangeReport, Operation
from hale.report.text import encode

FORMAT = "change"


def render(run: str, reports: Path) -> bytes:
    """The page of a run: of a folder in `reports`, or of that path.

    Raises UserError for a folder that is none of a change, and for invalid files.
    """
    folder = run_folder.find_folder(run, reports)
    return encode(page.render(_builder(folder)(folder)))


def _builder(folder: Path) -> Callable[[Path], ChangeReport]:
    """What makes the page of that run."""
    if (folder / drill_journal.NAME).is_file():
        return drill_page.build
    if (folder / journal.NAME).is_file():
        kind = journal.load_run(folder).header.kind
        of_hosts = kind in (Operation.FIX, Operation.UNDO)
        return apply_page.build if of_hosts else install_page.build
    if (folder / "plan.json").is_file():
        return apply_page.build
    raise UserError(f"{folder.name} has no journal: it changed nothing.")

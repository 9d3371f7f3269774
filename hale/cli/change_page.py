"""`invoke report RUN --format change`: the page of a change, made from what its folder has now."""

from pathlib import Path

from hale.apply import change_page
from hale.model.errors import UserError
from hale.report.change import page
from hale.report.formats import encode

FORMAT = "change"


def render(run: str, reports: Path) -> bytes:
    """The page of a run: of a folder in `reports`, or of that path.

    Raises UserError for a folder that is none of a change, and for invalid files.
    """
    folder = next((f for f in (reports / run, Path(run)) if f.is_dir()), None)
    if folder is None:
        raise UserError(f"no run {run} in {reports}.")
    if not (folder / "plan.json").is_file():
        raise UserError(f"{run} has no plan.json: it is not a fix or an undo.")
    return encode(page.render(change_page.build(folder)))

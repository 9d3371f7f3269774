"""`invoke report`: the report of an earlier run, made again from its results.json."""

import difflib
from pathlib import Path

from hale.audit import results_file
from hale.model.errors import UserError
from hale.report import formats


def render(run: str, reports: Path, name: str) -> bytes:
    """The report of a run in the format of that name.

    `run` is the name of a folder in `reports`, or the path of a folder that has a results.json.
    Raises UserError for a run or a format that does not exist, and for a file that is no results.
    """
    if name not in formats.FORMATS:
        similar = difflib.get_close_matches(name, formats.FORMATS, 1)
        hint = (
            f"Did you mean {similar[0]}?" if similar else f"Formats: {', '.join(formats.FORMATS)}."
        )
        raise UserError(f"no format {name!r}. {hint}")
    folder = next((f for f in (reports / run, Path(run)) if f.is_dir()), None)
    if folder is None:
        raise UserError(f"no run {run} in {reports}.")
    return formats.encode(formats.FORMATS[name](results_file.load_results(folder / "results.json")))

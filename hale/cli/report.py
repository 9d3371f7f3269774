"""`invoke report`: an earlier run's report in another format, and two runs compared."""

import difflib
from pathlib import Path

from hale.audit import results_file
from hale.cli import run_folder
from hale.model.errors import UserError
from hale.model.results import Results
from hale.report import compare, formats

DIFF = "diff"  # the word in place of a run: `invoke report diff BEFORE AFTER`
BROKE = 1  # exit status of a comparison in which something broke
UNFIT = 2  # of one that could not be made, as of diff(1)


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
    return formats.encode(formats.FORMATS[name](load(run, reports)))


def load(run: str, reports: Path) -> Results:
    """The results of a run. Raises UserError.

    run: the name of a folder in `reports`, or the path of a folder or of a results.json.
    """
    return results_file.load_results(results_path(run, reports))


def results_path(run: str, reports: Path) -> Path:
    """The results.json of a run, named as for `load`. Raises UserError if there is no such run."""
    return run_folder.find_file(run, reports, "results.json")


def diff(before: str, after: str, reports: Path) -> tuple[bytes, int]:
    """The comparison of two runs as text, and its exit status. Raises UserError."""
    if not before or not after:
        raise UserError(f"name two runs or files: invoke report {DIFF} BEFORE AFTER.")
    earlier, later = load(before, reports), load(after, reports)
    found = compare.compare(compare.rows_of(earlier.results), later)
    text = f"{compare.describe(earlier, later)}\n{compare.text(found)}"
    return formats.encode(text), BROKE if found.broke else 0

"""`invoke accept RUN`: a run's results become those that `pytest --drift` compares with."""

from collections import Counter
from pathlib import Path

from hale.audit import accepted
from hale.cli import report
from hale.files import regular
from hale.inventory import ini
from hale.model.verdict import Verdict
from hale.report import compare
from hale.report.text import escape_controls


def accept(run: str, reports: Path, inventory: Path) -> str:
    """Accept a run; returns what to print. Raises UserError, and then nothing is written.

    run: the name of a folder in `reports`, or the path of a folder or of a results.json.
    """
    known = ini.load_inventory(inventory)
    path = report.results_path(run, reports)
    found = report.load(run, reports)
    rows = compare.rows_of(found.results)
    written = accepted.accept(found, rows, regular.read_file(path), known)
    count = Counter(row.verdict for row in rows)
    verdicts = ", ".join(f"{count[verdict]} {verdict}" for verdict in Verdict if count[verdict])
    lines = [f"accepted: {len(rows)} results of {found.run.started}: {verdicts}"]
    if count[Verdict.UNKNOWN]:
        lines.append("of those that are UNKNOWN, no drift can be found until a run judges them")
    lines += [f"the run is incomplete: {reason}" for reason in found.run.incomplete]
    lines += [f"written to {written}", "pytest --hosts=all --drift reports what changes"]
    return "".join(f"{escape_controls(line)}\n" for line in lines)

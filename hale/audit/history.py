"""The audits before this one, for the trend in its report: the counts that each has recorded.

Only the head of each results.json is read, up to its hosts; what is not as expected is left out.
"""

from itertools import islice
from pathlib import Path

import msgspec

from hale.files import regular
from hale.model.results import SCHEMA, EarlierRun, Run

MOST_RUNS = 9  # in a report, beside its own
MOST_FILES = 50  # that are read
HEAD = 64 * 1024  # bytes of each
_END = b',\n"hosts": '  # of the head: hale.results/2 has one field of the file a line


class _ResultsHead(msgspec.Struct):
    schema: str
    run: Run


def earlier_runs(folder: Path, run: Run) -> list[EarlierRun]:
    """The finished audits beside `folder` that are of the same selection, the newest first.

    The selection: inventory, profile, hosts, and what was left out. None for an audit of saved
    evidence, and those of saved evidence are none. Never raises.
    """
    if run.evidence_from:
        return []
    try:
        names = [p.name for p in folder.parent.glob("*-audit*") if p.name < folder.name]
    except OSError:
        return []
    found: list[EarlierRun] = []
    for name in islice(sorted(names, reverse=True), MOST_FILES):
        other = _run_of(folder.with_name(name) / "results.json")
        if other and other.counts and _selection(other) == _selection(run):
            found.append(EarlierRun(name, other.started, other.counts))
            if len(found) == MOST_RUNS:
                break
    return found


def _selection(run: Run) -> tuple[object, ...]:
    return (run.inventory, run.profile, run.hosts_expression, run.incomplete, run.evidence_from)


def _run_of(path: Path) -> Run | None:
    """Who ran what, of a run that is finished."""
    try:
        with regular.open_file(path) as file:
            raw = file.read(HEAD)
        head, _, _ = raw.partition(_END)
        found = msgspec.json.decode(head + b"}", type=_ResultsHead)
    except (OSError, ValueError, RecursionError, regular.UnfitFile):  # msgspec's are ValueErrors
        return None
    return found.run if found.schema == SCHEMA and found.run.state == "finished" else None

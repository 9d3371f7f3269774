"""The settings that a boot of their host has proven, by two readings with that boot between them.

No time of a host counts: its clock may have been stepped back and forth around a change, which no
file, unit or kernel keeps a record of. What counts is an audit of an earlier boot (another boot id
of the same machine) that read the same winning lines, in files that have not changed since. The
same line of a file with another time of change was written again, perhaps after the boot.

Sources: random(4), boot_id; stat(2), ctime, which no program sets but by the clock.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from io import BufferedReader
from pathlib import Path

import msgspec

from hale.files import regular
from hale.model.results import SCHEMA, ConfigLineRecord, HostRecord, Result, Results, Run
from hale.model.verdict import Verdict

MOST_RUNS = 50  # of the newest ones beside a run, whose hosts are read
MOST_READ = 3  # of those with an earlier boot of a host, whose rows are read
MOST_LINE = 4 * regular.MIB  # bytes: an element of results.json
# Where a run keeps its audits: `pytest` in its folder, a fix or a drill in these.
_AUDITS = ("", "after", "before")
# The file has one element of an array a line (results_file.encode_results).
_HOSTS, _ROWS, _END = b'"hosts": [', b'"results": [', b"]"

Lines = frozenset[tuple[str, str, float]]  # path, text, time of change
Key = tuple[str, str]  # host, requirement


class _EarlierRow(msgspec.Struct):
    host: str
    requirement: str
    aspect: str
    settings: list[ConfigLineRecord] = []


class _EarlierHead(msgspec.Struct):
    schema: str
    run: Run


def mark_reboot_proven(results: Results, folder: Path) -> None:
    """Mark the settings that a boot has proven, and on each host why there is none.

    Known only when all is judged. folder: of the run, beside the folders of earlier ones. What is
    there and no results file is left out. Never raises.
    """
    pending = dict(_candidates(results.results))
    known = {host.name: host for host in results.hosts if host.boot_id and host.machine_id}
    wanted = {host for host, _ in pending}
    read = Counter[str]()  # files with an earlier boot, by host
    for path in _earlier_files(folder):
        open_hosts = {h for h, _ in pending if h in known and read[h] < MOST_READ}
        if not open_hosts:
            break
        found = {h.name for h in _hosts(path) if h.name in open_hosts and _is_before(h, known)}
        read.update(found)
        for row in _rows(path) if found else ():
            key = row.host, row.requirement
            if row.host in found and row.aspect == "persisted" and key in pending:
                result, lines = pending[key]
                if lines <= _winners(row.settings):
                    result.reboot_proven = True
                    del pending[key]
    for host in results.hosts:
        if host.name not in known:
            host.boot_unclear = "" if host.down else "its boot id or machine-id could not be read"
        elif host.name in wanted and not read[host.name]:
            host.boot_unclear = "no audit of an earlier boot was found"


def _candidates(rows: Iterable[Result]) -> Iterator[tuple[Key, tuple[Result, Lines]]]:
    """The rows that pass now and after the next boot, and rest on lines of which the time of change
    is known."""
    rows = list(rows)
    passing = {
        (r.host, r.requirement) for r in rows if r.aspect == "runtime" and r.verdict is Verdict.PASS
    }
    for row in rows:
        row.reboot_proven = False
        key = row.host, row.requirement
        if row.aspect == "persisted" and row.verdict is Verdict.PASS and key in passing:
            lines = _winners(row.settings)
            if lines and all(changed > 0 for *_, changed in lines):
                yield key, (row, lines)


def _winners(settings: Iterable[ConfigLineRecord]) -> Lines:
    return frozenset((s.path, s.text, s.changed) for s in settings if s.wins)


def _earlier_files(folder: Path) -> Iterator[Path]:
    """results.json of the runs beside this one, the newest first."""
    own = folder.parent if folder.name in _AUDITS else folder
    try:
        names = sorted((p.name for p in own.parent.iterdir()), reverse=True)
    except OSError:
        return
    for name in names[:MOST_RUNS]:
        for audit in _AUDITS:
            path = own.parent / name / audit / "results.json"
            if path.parent != folder:
                yield path


def _is_before(other: HostRecord, known: Mapping[str, HostRecord]) -> bool:
    """Whether it is the same machine in an earlier boot.

    read_at is by the operator's clock: a reading of saved evidence may be older than a run's.
    """
    host = known[other.name]
    return (
        other.machine_id == host.machine_id
        and bool(other.boot_id)
        and other.boot_id != host.boot_id
        and "" < other.read_at < host.read_at
    )


def _hosts(path: Path) -> list[HostRecord]:
    """The hosts of a finished audit that contacted them; none for any other file."""
    try:
        with regular.open_file(path) as file:
            head = b""
            for line in _lines(file, until=_HOSTS):
                head += line
            found = msgspec.json.decode(head.rstrip(b",\n") + b"}", type=_EarlierHead)
            run = found.run
            if found.schema != SCHEMA or run.kind != "audit" or run.state != "finished":
                return []
            if run.evidence_from:
                return []
            return [_HOST.decode(line.rstrip(b",\n")) for line in _lines(file, until=_END)]
    except (OSError, ValueError, RecursionError, regular.UnfitFile):
        return []


def _rows(path: Path) -> Iterator[_EarlierRow]:
    """Its rows that have settings, as far as they can be read."""
    try:
        with regular.open_file(path) as file:
            for _ in _lines(file, until=_ROWS):
                pass
            for line in _lines(file, until=_END):
                if b'"settings"' in line:
                    yield _ROW.decode(line.rstrip(b",\n"))
    except (OSError, ValueError, RecursionError, regular.UnfitFile):
        return


def _lines(file: BufferedReader, until: bytes) -> Iterator[bytes]:
    """The lines before the one that begins with `until`. Raises ValueError if there is none."""
    while line := file.readline(MOST_LINE):
        if line.startswith(until):
            return
        yield line
    raise ValueError("truncated")


_HOST = msgspec.json.Decoder(HostRecord)
_ROW = msgspec.json.Decoder(_EarlierRow)

"""What programs that set the clock report of their synchronization.

Not a subject: facts/time_sync.py uses it. Sources: chronyc(1) (tracking, sources); ntpq(8) (rv,
peers); ntpctl(8); systemd-timesyncd.service(8) (/run/systemd/timesync/synchronized),
timedatectl(1). The lines are those of facts/time_sync.sh:
`status NAME CODE` for a command that has ended, and `NAME: ` before what it printed.
"""

import csv
import re
from collections.abc import Sequence

from msgspec import Struct

from facts.parsers.blanks import split_words
from hale.model.evidence import Unreadable

LEAP_SYNCHRONIZED = ("Normal", "Insert second", "Delete second")
OWN_CLOCK = re.compile(r"7F7F01[0-9A-F]{2}", re.IGNORECASE | re.ASCII)  # 127.127.1.x


class ClockStatus(Struct, frozen=True):
    """Whether a program has the time from a source.

    problem: why the clock is not synchronized, empty where it is. offset_seconds, age_seconds: the
    distance from the source's time and the time since the last synchronization, None where the
    program does not report it.
    """

    problem: str = ""
    source: str = ""
    offset_seconds: float | None = None
    age_seconds: float | None = None


def chrony_status(lines: Sequence[str]) -> ClockStatus:
    """`chronyc -c tracking` has 14 fields, `sources` 10; a `*` marks the selected source."""
    report = _report(lines, "chrony")
    rows = list(csv.reader(report))
    tracking = next((row for row in rows if len(row) == 14), None)
    sources = [row for row in rows if len(row) == 10 and row[0] in ("^", "=", "#")]
    if tracking is None or len(sources) + 1 != len(rows):
        raise Unreadable(f"chronyc reports its state in an unknown form: {' '.join(report)[:200]}")
    reference, offset, leap = tracking[0], _number(tracking[4], "chronyc"), tracking[13]
    selected = [row[2] for row in sources if row[1] == "*"]
    if not sources:
        return ClockStatus(problem="chronyd has no source")
    if leap not in LEAP_SYNCHRONIZED:
        states = ", ".join(f"{row[2]} {_chrony_word(row)}" for row in sources)
        return ClockStatus(problem=f"chronyc says {leap.lower()} ({states})")
    if OWN_CLOCK.fullmatch(reference) or not selected:
        states = ", ".join(f"{row[2]} {_chrony_word(row)}" for row in sources)
        return ClockStatus(problem=f"chronyd has selected no source ({states})")
    return ClockStatus(source=selected[0], offset_seconds=offset)


def _chrony_word(row: Sequence[str]) -> str:
    if row[5] == "0":
        return "does not answer"
    words = {"?": "is not usable", "x": "has a wrong time", "~": "is too variable"}
    return words.get(row[1], "is not selected")


def timesyncd_status(lines: Sequence[str]) -> ClockStatus:
    """The file that timesyncd touches whenever it sets the clock; systemd removes it with it."""
    server = dict(line.split("=", 1) for line in _report(lines, "timesyncd") if "=" in line)
    text = [line for line in lines if line.startswith("synchronized: ")]
    status = next((line for line in lines if line.startswith("status synchronized ")), "")
    now = int(split_words(lines[-1])[1])
    name = server.get("ServerName") or server.get("ServerAddress", "")
    found = re.fullmatch(r"synchronized: (\d{1,15})", text[0] if text else "", re.ASCII)
    if status.endswith(" 0") and found:
        if not name:
            return ClockStatus(problem="it has no server now")
        return ClockStatus(source=name, age_seconds=float(now - int(found[1])))
    if any("No such file" in line for line in text):
        which = f"{name} has not answered" if name else "it has no server"
        return ClockStatus(problem=f"{which}, and it has not set the clock since it started")
    raise Unreadable(f"when timesyncd set the clock is unknown: {' '.join(text)[:200]}")


def ntp_status(lines: Sequence[str]) -> ClockStatus:
    """ntpq's system variables, and the peer with the tally code `*`, or `o` for a PPS signal."""
    report = _report(lines, "ntp")
    text = " ".join(report)
    leap = re.search(r"\bleap=(\w+)", text, re.ASCII)
    stratum = re.search(r"\bstratum=(\d{1,15})\b", text, re.ASCII)
    offset = re.search(r"\boffset=([-+]?[\d.]+)\s*(ns|us|µs|ms|s)?", text, re.ASCII)
    if not (leap and stratum and offset):
        raise Unreadable(f"ntpq reports its state in an unknown form: {text[:200]}")
    peers = [split_words(line) for line in report if re.match(r"[*o]\S", line, re.ASCII)]
    chosen = next((words[0][1:] for words in peers), "")
    if leap[1] in ("11", "3") or int(stratum[1]) >= 16:
        return ClockStatus(problem=f"ntpq says leap={leap[1]}, stratum={stratum[1]}")
    if not chosen:
        return ClockStatus(problem="ntpd has selected no source")
    if chosen.startswith("127.127.1.") or any(w[1:2] in ([".LOCL."], ["LOCL"]) for w in peers):
        return ClockStatus(problem=f"ntpd has selected the host's own clock ({chosen})")
    unit = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "s": 1.0}.get(offset[2] or "ms", 1e-3)
    return ClockStatus(source=chosen, offset_seconds=_number(offset[1], "ntpq") * unit)


def openntpd_status(lines: Sequence[str]) -> ClockStatus:
    """ntpctl's one line: `4/4 peers valid, clock synced, stratum 3`."""
    report = _report(lines, "openntpd")
    text = " ".join(report)
    if re.search(r"\bclock unsynced\b", text, re.ASCII):
        return ClockStatus(problem=f"ntpctl says {text[:120]}")
    found = re.search(
        r"\b([1-9]\d*)/\d+ peers valid\b.*\bclock synced, stratum (\d{1,15})\b", text, re.ASCII
    )
    if found and int(found[2]) < 16:
        return ClockStatus(source=f"{found[1]} peers")
    if re.search(r"\bclock synced\b", text, re.ASCII):
        return ClockStatus(problem=f"ntpctl says {text[:120]}")
    raise Unreadable(f"ntpctl reports its state in an unknown form: {text[:200]}")


def _report(lines: Sequence[str], name: str) -> list[str]:
    """What a program printed. Raises Unreadable where it failed, or was not queried."""
    status = next((line for line in lines if line.startswith(f"status {name} ")), "")
    text = [line.removeprefix(f"{name}: ") for line in lines if line.startswith(f"{name}: ")]
    if not status:
        raise Unreadable(f"there is no report of {name}: its state changed while it was read")
    code = status.rpartition(" ")[2]
    if code != "0":
        raise Unreadable(f"{name} does not report its state ({code}): {' '.join(text)[:200]}")
    return text


def _number(text: str, program: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise Unreadable(f"{program} reports no number: {text!r}") from None

"""Reboots on a schedule of the site's own: lines of cron, and timers of the site. Not a subject.

Sources: crontab(5) (fields, day of month and of week, @daily); systemd.timer(5), systemd.time(7)
(OnCalendar=); reboot(8), shutdown(8), systemctl(1).
"""

import re
from collections.abc import Iterator, Sequence

from msgspec import Struct

from facts.parsers import conf_dirs, systemd_units
from facts.parsers.blanks import BLANKS, is_decimal, split_words
from facts.parsers.ip_command import commands, program_at
from facts.parsers.unit_limits import assignments
from hale.model.evidence import (
    EXISTENCE,
    ConfigLine,
    HostView,
    Selection,
    Unreadable,
    select,
)

CRONTABS = (
    "/etc/crontab",
    "/etc/cron.d/*",
    "/var/spool/cron/crontabs/root",
    "/var/spool/cron/root",
)
_SITE = "/etc/systemd/system"
_TIMERS, _SERVICES, _LINKS = (
    f"{_SITE}/*.timer", f"{_SITE}/*.service", f"{_SITE}/*.wants/*.timer",
)  # fmt: skip
_COMMANDS = Selection(r".*[^A-Za-z0-9_.-](reboot|shutdown|init|systemctl)([^A-Za-z0-9_.-]|$)")
PATTERNS = (
    *select(_COMMANDS, *CRONTABS),
    *select(Selection(r".*(\[|OnCalendar|Unit[[:space:]]*=)"), _TIMERS),
    *select(Selection(r".*(\[|Exec[A-Za-z]*[[:space:]]*=.*(reboot|shutdown|init))"), _SERVICES),
    *select(EXISTENCE, _LINKS),
)
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EVERY_DAY, EVERY_DATE = frozenset(range(7)), frozenset(range(1, 32))
_MACROS = {
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@hourly": "0 * * * *",
}


class ScheduledReboot(Struct, frozen=True):
    """An hour of the day, 0 to 23, its days of the week (0 is Monday) and of the month, and the
    line that has it."""

    hour: int
    source: ConfigLine
    weekdays: frozenset[int] = EVERY_DAY
    dates: frozenset[int] = EVERY_DATE


def reboots(readings: HostView) -> Iterator[ScheduledReboot]:
    """The reboots of a host by cron and by the site's timers. Raises Unreadable."""
    for file in readings.files(*CRONTABS):
        for number, line in enumerate(file.lines if file.kind == "f" else (), 1):
            text = line.strip(BLANKS)
            if text and not text.startswith("#"):
                yield from _of_cron(ConfigLine(file.path, number, text, True, file.changed))
    yield from _of_timers(readings)


def _of_cron(source: ConfigLine) -> Iterator[ScheduledReboot]:
    macro, _, rest = source.text.partition(" ")
    text = f"{_MACROS[macro]} {rest}" if macro in _MACROS else source.text
    words = split_words(text, 5)
    if len(words) < 6 or not is_reboot(words[5]):
        return
    hours = _field(words[1], range(24), source)
    dates = _field(words[2], range(1, 32), source)
    weekdays = frozenset((day - 1) % 7 for day in _field(words[4], range(8), source))
    if "*" not in words[2][:1] + words[4][:1]:  # either of them counts
        weekdays, dates = EVERY_DAY, EVERY_DATE
    for hour in sorted(hours):
        yield ScheduledReboot(hour, source, weekdays, dates)


def _field(text: str, every: range, source: ConfigLine) -> frozenset[int]:
    """The numbers of `*/2`, `1-5`, `mon,thu`. Raises Unreadable for another form."""
    found: set[int] = set()
    for part in text.lower().split(","):
        values, _, step = part.partition("/")
        first, dash, last = values.partition("-")
        if values == "*":
            first, last = str(every.start), str(every.stop - 1)
        elif not dash:
            last = str(every.stop - 1) if step else first
        start, end = (
            str(_DAYS.index(w) + 1) if w in _DAYS and len(every) == 8 else w for w in (first, last)
        )
        if not all(is_decimal(n) and len(n) < 3 for n in (start, end, step or "1")) or step == "0":
            raise Unreadable(f"{source} has a time that is not known here: {text[:40]!r}")
        found.update(range(int(start), int(end) + 1, int(step or "1")))
    return frozenset(found & set(every))


def _of_timers(readings: HostView) -> Iterator[ScheduledReboot]:
    services = {conf_dirs.name_of(file): file for file in readings.files(_SERVICES)}
    for link in readings.files(_LINKS):
        name = conf_dirs.name_of(link)
        timer = next((f for f in readings.files(_TIMERS) if conf_dirs.name_of(f) == name), None)
        if timer is None or timer.kind != "f" or systemd_units.masked(timer):
            continue
        unit = next(
            (value for _, value, _ in assignments(timer, "Timer", "Unit") if value),
            f"{name.removesuffix('.timer')}.service",
        )
        service = services.get(unit)
        if service is None or service.kind != "f":
            continue
        starts = [value for _, value, _ in assignments(service, "Service", "ExecStart")]
        if any(is_reboot(value.lstrip("@-:+!|")) for value in starts):
            for source, value, _ in assignments(timer, "Timer", "OnCalendar"):
                yield of_calendar(value, source)


def of_calendar(value: str, source: ConfigLine) -> ScheduledReboot:
    """The reboot at a time of OnCalendar=. Raises Unreadable for one of several hours."""
    text = value.lower().strip(BLANKS)
    usual = {"daily": "00:00", "weekly": "mon 00:00", "monthly": "*-*-01 00:00"}
    text = usual.get(text, text)
    time = re.search(r"(?:^|[ \t])(\d{1,2}):\d{1,2}", text, re.ASCII)
    if not time or int(time[1]) > 23:
        raise Unreadable(
            f"{source} starts at other times than one of the day ({value[:80]}): "
            "`systemctl list-timers` shows them"
        )
    days = re.match(rf"((?:{'|'.join(_DAYS)})[a-z]*)(?:[ \t]|$)", text, re.ASCII)
    date = re.search(r"(?:^|[ \t])[\d*]+-(?:[\d*]+-)?(\d{1,2})(?:[ \t]|$)", text, re.ASCII)
    return ScheduledReboot(
        int(time[1]),
        source,
        frozenset({_DAYS.index(days[1][:3])}) if days else EVERY_DAY,
        frozenset({int(date[1])}) if date else EVERY_DATE,
    )


def is_reboot(text: str) -> bool:
    """Whether one of the commands of the line reboots the host."""
    return any(_reboots(words) for words in commands(text))


def _reboots(words: Sequence[str]) -> bool:
    for program, wanted in (("shutdown", ("-r", "--reboot")), ("systemctl", ("reboot", "kexec"))):
        if (at := program_at(words, program)) >= 0:
            return "-c" not in words and any(word in wanted for word in words[at + 1 :])
    if (at := program_at(words, "init")) >= 0:
        return words[at + 1 : at + 2] == ["6"]
    at = program_at(words, "reboot")
    return at >= 0 and "--help" not in words

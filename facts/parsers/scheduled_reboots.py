"""Reboots on a schedule of the site's own: lines of cron, and timers of the site. Not a subject.

A command with a condition before it (a day of `date`, a file, a host's name) may reboot or not; one
that asks whether an update needs a reboot does so on all hosts at the same time.

Sources: crontab(5) (fields, day of month and of week, @daily, `%`); systemd.timer(5),
systemd.time(7) (OnCalendar=); systemd.service(5), ExecCondition=; systemd.unit(5), drop-ins;
reboot(8), shutdown(8), systemctl(1); reboot-required of Debian's update-notifier,
needs-restarting(1).
"""

import re
from collections.abc import Iterator, Sequence
from itertools import chain

from msgspec import Struct
from msgspec.structs import replace

from facts.parsers import conf_dirs, systemd_units, unit_settings
from facts.parsers.blanks import BLANKS, is_decimal, split_words
from facts.parsers.ip_command import commands, program_at
from hale.model import budgets
from hale.model.evidence import (
    EXISTENCE,
    Allowance,
    ConfigLine,
    File,
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
# Debian's cron, which reads no file of /etc/cron.d with other names than these, the second kind
# with its option -l.
DEBIANS_CRON = "/usr/sbin/cron"
_READ = re.compile(r"[A-Za-z0-9_-]+|[^/]*[.][^/]*-[^/]*", re.ASCII)
_SITE = "/etc/systemd/system"
_TIMERS, _SERVICES, _LINKS = (
    f"{_SITE}/*.timer", f"{_SITE}/*.service", f"{_SITE}/*.wants/*.timer",
)  # fmt: skip
_OF_TIMERS, _OF_SERVICES = f"{_SITE}/*.timer.d/*.conf", f"{_SITE}/*.service.d/*.conf"
_COMMANDS = Selection(r".*[^A-Za-z0-9_.-](reboot|shutdown|init|systemctl)([^A-Za-z0-9_.-]|$)")
PATTERNS = (
    *select(_COMMANDS, *CRONTABS),
    *select(Selection(r".*(\[|OnCalendar|Unit[[:space:]]*=)"), _TIMERS, _OF_TIMERS),
    *select(
        Selection(
            r".*(\[|Exec[A-Za-z]*[[:space:]]*=([[:space:]]*$|.*(reboot|shutdown|init))"
            r"|ExecCondition[[:space:]]*=)"
        ),
        _SERVICES,
        _OF_SERVICES,
    ),
    *select(EXISTENCE, _LINKS, DEBIANS_CRON),
)
# What makes a command depend on more than those before it, and what is asked on all hosts alike.
_CONDITION = re.compile(r"(?:^|[\s;&|(`])(?:\[\[?|test|if|case|e?grep|expr)\s|\|\|", re.ASCII)
_UPDATED = re.compile(r"reboot-required|needs-restarting|needrestart", re.ASCII)
_END_OF_COMMAND = re.compile(r"(?<!\\)%", re.ASCII)  # of cron: the rest is its standard input
# Of OnCalendar=: the hour; the months and dates.
_TIME = re.compile(r"(\d{1,2}):[\d,./*]+(?::[\d,./*]+)?", re.ASCII)
_DATE = re.compile(r"(?:[\d*,./]+-)?([\d*,./]+)-([\d*,./]+)", re.ASCII)
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MACROS = {
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@hourly": "0 * * * *",
}
_SHORT = {
    "daily": "00:00",
    "weekly": "mon 00:00",
    "monthly": "*-*-01 00:00",
    "quarterly": "*-01,04,07,10-01 00:00",
    "semiannually": "*-01,07-01 00:00",
    "yearly": "*-01-01 00:00",
    "annually": "*-01-01 00:00",
}


class Days(Struct, frozen=True):
    """The days that are of one of these days of the week (0 is Monday), one of these dates of a
    month, and one of these months."""

    weekdays: frozenset[int] = frozenset(range(7))
    dates: frozenset[int] = frozenset(range(1, 32))
    months: frozenset[int] = frozenset(range(1, 13))


EVERY_DAY = Days()


class ScheduledReboot(Struct, frozen=True):
    """An hour of the day, 0 to 23, its days, and the line that has it. conditional: it may reboot
    on some of these days, or hosts, and not on others."""

    hour: int
    source: ConfigLine
    days: Days = EVERY_DAY
    conditional: bool = False


def reboots(readings: HostView) -> Iterator[ScheduledReboot]:
    """The reboots of a host by cron and by the site's timers. Raises Unreadable."""
    allowed = Allowance(budgets.SCHEDULED_REBOOTS, "reboots of cron and of timers")
    found: set[tuple[int, Days, bool]] = set()
    for reboot in chain(_of_crontabs(readings), _of_timers(readings)):
        key = reboot.hour, reboot.days, reboot.conditional
        if key not in found:
            allowed.spend(where=reboot.source)
            found.add(key)
            yield reboot


def _of_crontabs(readings: HostView) -> Iterator[ScheduledReboot]:
    debians = readings.file(DEBIANS_CRON) is not None
    for file in readings.files(*CRONTABS):
        if debians and "/cron.d/" in file.path and not _READ.fullmatch(conf_dirs.name_of(file)):
            continue
        for number, line in enumerate(file.lines if file.kind == "f" else (), 1):
            text = line.strip(BLANKS)
            if text and not text.startswith("#"):
                yield from of_cron(ConfigLine(file.path, number, text, True, file.changed))


def of_cron(source: ConfigLine) -> Iterator[ScheduledReboot]:
    """The reboots of a line of a crontab. Raises Unreadable for a time that is not known here."""
    macro, *rest = split_words(source.text, 1)
    text = f"{_MACROS[macro]} {' '.join(rest)}" if macro in _MACROS else source.text
    words = split_words(text, 5)
    command = _END_OF_COMMAND.split(words[5])[0].replace("\\%", "%") if len(words) > 5 else ""
    if not is_reboot(command):
        return
    hours = _numbers(words[1], range(24), source)
    dates = _numbers(words[2], range(1, 32), source)
    months = _numbers(words[3], range(1, 13), source, names=_MONTHS)
    weekdays = {(day - 1) % 7 for day in _numbers(words[4], range(8), source, names=_DAYS)}
    days = Days(frozenset(weekdays), dates, months)
    if "*" not in words[2][:1] + words[4][:1]:  # either of them counts
        days = Days(months=months)
    for hour in sorted(hours):
        yield ScheduledReboot(hour, source, days, _is_conditional(command))


def _is_conditional(command: str) -> bool:
    return bool(_CONDITION.search(command)) and not _UPDATED.search(command)


def _numbers(
    text: str, every: range, source: ConfigLine, *, names: Sequence[str] = (), to: str = "-"
) -> frozenset[int]:
    """The numbers of `*/2`, `1-5`, `mon,thu`. names: those of the numbers from 1 on; to: what is
    between the ends of a range. Raises Unreadable for another form."""
    found: set[int] = set()
    for part in text.lower().split(","):
        values, _, step = part.partition("/")
        first, dash, last = values.partition(to)
        if values == "*":
            first, last = str(every.start), str(every.stop - 1)
        elif not dash:
            last = str(every.stop - 1) if step else first
        start, end = (
            str(names.index(word[:3]) + 1) if word.isalpha() and word[:3] in names else word
            for word in (first, last)
        )
        if start == "7" and dash and every == range(8):  # Sunday is both
            start = "0"
        known = all(is_decimal(n) and len(n) < 3 for n in (start, end, step or "1"))
        if not known or int(step or "1") == 0 or int(start) > int(end):
            raise Unreadable(f"{source} has a time that is not known here: {text[:40]!r}")
        found.update(range(int(start), int(end) + 1, int(step or "1")))
    return frozenset(found & set(every))


def _of_timers(readings: HostView) -> Iterator[ScheduledReboot]:
    services = {conf_dirs.name_of(file): file for file in readings.files(_SERVICES)}
    timers = {conf_dirs.name_of(file): file for file in readings.files(_TIMERS)}
    for name in dict.fromkeys(map(conf_dirs.name_of, readings.files(_LINKS))):
        timer = timers.get(name)
        if timer is None or timer.kind != "f" or systemd_units.masked(timer):
            continue
        own = [timer, *_drop_ins(readings, _OF_TIMERS, name)]
        units = unit_settings.values(own, "Timer", "Unit")
        unit = units[-1][1] if units else f"{name.removesuffix('.timer')}.service"
        service = services.get(unit)
        if service is None or service.kind != "f":
            continue
        files = [service, *_drop_ins(readings, _OF_SERVICES, unit)]
        starts = [command.text for command in unit_settings.commands(files)]
        found = [value for value in starts if is_reboot(value)]
        conditions = [value for _, value in unit_settings.values(files, "Service", "ExecCondition")]
        doubt = any(not _UPDATED.search(value) for value in conditions)
        if found:
            conditional = doubt or all(map(_is_conditional, found))
            for source, value in unit_settings.values(own, "Timer", "OnCalendar"):
                yield replace(of_calendar(value, source), conditional=conditional)


def _drop_ins(readings: HostView, pattern: str, unit: str) -> list[File]:
    """Those of this unit, in the order in which systemd reads them."""
    every = readings.files(pattern)
    return conf_dirs.effective([f for f in every if f.path.split("/")[-2] == f"{unit}.d"])


def of_calendar(value: str, source: ConfigLine) -> ScheduledReboot:
    """The reboot at a time of OnCalendar=. Raises Unreadable for one of several hours, of a time
    zone, or of days counted from a month's end."""
    text = value.lower().strip(BLANKS)
    weekdays, dates, months = EVERY_DAY.weekdays, EVERY_DAY.dates, EVERY_DAY.months
    hour = None
    for number, word in enumerate(split_words(_SHORT.get(text, text))):
        if found := _TIME.fullmatch(word):
            hour = int(found[1])
        elif found := _DATE.fullmatch(word):
            months = _numbers(found[1], range(1, 13), source, to="..")
            dates = _numbers(found[2], range(1, 32), source, to="..")
        elif number == 0 and word[:3] in _DAYS:
            of_week = _numbers(word, range(1, 8), source, names=_DAYS, to="..")
            weekdays = frozenset(day - 1 for day in of_week)
        else:
            hour = None
            break
    if hour is None or hour > 23:
        raise Unreadable(
            f"{source} starts at other times than one of the day ({value[:80]}): "
            "`systemctl list-timers` shows them"
        )
    return ScheduledReboot(hour, source, Days(weekdays, dates, months))


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

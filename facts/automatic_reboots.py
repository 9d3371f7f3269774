"""The hour at which each master reboots by itself: after an update, by cron, or by a timer.

unattended-upgrades reboots if `Unattended-Upgrade::Automatic-Reboot` is true, at
Automatic-Reboot-Time, or else when apt-daily-upgrade.timer has run it; dnf-automatic if `reboot` of
its configuration is not `never`, when one of its timers has run it. Without an enabled timer, or
switched off by APT::Periodic, neither does. A random delay is not counted: reboots in one hour
overlap; on different days of the week, dates or months they do not. needrestart and kured are not
read: the one restarts services alone, the other locks.

Sources: apt.conf(5) (SYNTAX, apt.conf.d), unattended-upgrades' README and 50unattended-upgrades,
apt's apt.systemd.daily; dnf-automatic(8) (reboot), DNF5's dnf5-automatic(8); systemd.timer(5),
systemd.time(7) (OnCalendar=).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import product

from msgspec import Struct

from facts.parsers import conf_dirs, scheduled_reboots, systemd_units
from facts.parsers.blanks import BLANKS
from facts.parsers.combined import read_each
from facts.parsers.scheduled_reboots import EVERY_DAY, Days
from facts.parsers.unit_limits import assignments
from hale.inventory.ini import Host
from hale.model.evidence import (
    EXISTENCE,
    ClusterView,
    ConfigLine,
    FileProbe,
    HostView,
    Probe,
    Selection,
    Unreadable,
    select,
)
from hale.model.requirement import Case

UPGRADE = "/usr/bin/unattended-upgrade"
APT_FOLDER, APT_LAST = "/etc/apt/apt.conf.d/*", "/etc/apt/apt.conf"
DNF = ("/etc/dnf/automatic.conf", "/etc/dnf/dnf5-plugins/automatic.conf")
APT_TIMER = "apt-daily-upgrade.timer"
DNF_TIMERS = ("dnf-automatic.timer", "dnf-automatic-install.timer", "dnf5-automatic.timer")
TIMERS = (APT_TIMER, *DNF_TIMERS)
REBOOT = "unattended-upgrade::automatic-reboot"
AT = "unattended-upgrade::automatic-reboot-time"
PERIODIC = ("apt::periodic::enable", "apt::periodic::unattended-upgrade")
_YES = ("true", "yes", "on", "with", "enable", "1")
_NO = ("false", "no", "off", "without", "disable", "0")
# Of apt.conf what may belong to these options, which may be nested in braces.
_APT = Selection(r".*(Unattended-Upgrade|Automatic-Reboot|Periodic|Enable|[{}]|/[*]|[*]/)")
_DNF = Selection(r"[[:space:]]*(\[|reboot)")
_TIMER = Selection(r".*(\[|OnCalendar)")
_TOKEN = re.compile(r'"([^"]*)"|([{};])|([^\s{};"]+)', re.ASCII)
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*|(?m:^[ \t]*#[^\n]*)", re.DOTALL)


class AutomaticRebootsParameters(Struct, frozen=True):
    """None: how many masters etcd can lose follows from their number."""


class AutomaticReboot(Struct, frozen=True):
    """A master's reboot: the hour of the day, 0 to 23, its days, and the line that has it.

    conditional: a condition before the command decides whether it reboots.
    """

    host: str
    hour: int
    source: ConfigLine
    days: Days = EVERY_DAY
    conditional: bool = False


class AutomaticRebootsRuntime(Struct, frozen=True):
    """The reboots; spare: the number of masters that may be away at one time."""

    reboots: tuple[AutomaticReboot, ...]
    spare: int
    unread: tuple[str, ...] = ()
    sources: tuple[ConfigLine, ...] = ()

    @property
    def together(self) -> Mapping[int, tuple[AutomaticReboot, ...]]:
        """The hours in which more masters reboot than may be away, and their reboots."""
        return self._together([reboot for reboot in self.reboots if not reboot.conditional])

    @property
    def perhaps_together(self) -> Mapping[int, tuple[AutomaticReboot, ...]]:
        """The same, if every condition is met."""
        return self._together(self.reboots)

    def _together(
        self, reboots: Sequence[AutomaticReboot]
    ) -> Mapping[int, tuple[AutomaticReboot, ...]]:
        hours = {hour: _of_one_day(reboots, hour) for hour in sorted({one.hour for one in reboots})}
        return {
            hour: tuple(each.values())
            for hour, each in hours.items()
            if len(each) > max(self.spare, 1)
        }

    @property
    def actual(self) -> str:
        parts = [
            f"{', '.join(f'{one.host} ({one.source})' for one in each)} reboot by themselves "
            f"between {hour}:00 and {hour}:59"
            for hour, each in self.together.items()
        ]
        if not parts and self.reboots:
            parts = [
                "automatic reboots: "
                + ", ".join(f"{one.host} from {one.hour}:00" for one in self.reboots)
            ]
        return "; ".join([*(parts or ["no master reboots by itself"]), *self.unread])


def _of_one_day(reboots: Sequence[AutomaticReboot], hour: int) -> Mapping[str, AutomaticReboot]:
    """The hosts that reboot in this hour, on the day on which they are most."""
    found: dict[tuple[int, int, int], dict[str, AutomaticReboot]] = {}
    for reboot in reboots:
        if reboot.hour == hour:
            for day in product(reboot.days.weekdays, reboot.days.dates, reboot.days.months):
                found.setdefault(day, {}).setdefault(reboot.host, reboot)
    return max(found.values(), key=len, default={})


def probes(host: Host, cases: Sequence[Case[AutomaticRebootsParameters]]) -> tuple[Probe, ...]:
    """The configurations and timers of both programs, on masters."""
    if not host.is_master:
        return ()
    files = (p for unit in TIMERS for p in systemd_units.file_patterns(unit))
    dropins = (p for unit in TIMERS for p in systemd_units.dropin_patterns(unit))
    return (
        FileProbe(
            *select(EXISTENCE, UPGRADE),
            *select(_APT, APT_FOLDER, APT_LAST),
            *select(_DNF, *DNF),
            *select(_TIMER, *files, *dropins),
            *systemd_units.existence(*TIMERS),
            *scheduled_reboots.PATTERNS,
        ),
    )


def read_runtime(
    readings: ClusterView, case: Case[AutomaticRebootsParameters]
) -> AutomaticRebootsRuntime:
    """The masters' reboots. Raises Unreadable where one is unknown, and others prove no fault."""
    masters = case.inventory.masters
    answers, unread = read_each(readings, masters, lambda its: tuple(_reboots(its)))
    spare = (len(masters) - 1) // 2
    found = tuple(reboot for reboots in answers.values() for reboot in reboots)
    fact = AutomaticRebootsRuntime(found, spare, tuple(unread))
    if unread and not fact.together:
        raise Unreadable("; ".join(unread))
    if not fact.together:
        for hour, each in fact.perhaps_together.items():
            one = next(reboot for reboot in each if reboot.conditional)
            raise Unreadable(
                f"{', '.join(reboot.host for reboot in each)} may reboot between {hour}:00 and "
                f"{hour}:59, and whether on one day depends on a condition: on {one.host} "
                f"{one.source} has {one.source.text[:120]}"
            )
    return fact


def _reboots(readings: HostView) -> Iterator[AutomaticReboot]:
    """The reboots of one host. Raises Unreadable."""
    yield from _by_apt(readings)
    for found in scheduled_reboots.reboots(readings):
        yield AutomaticReboot(
            readings.host, found.hour, found.source, found.days, found.conditional
        )
    for path in DNF:
        file = readings.file(path)
        if file is None or file.kind != "f":
            continue
        last = None
        for source, value, _ in assignments(file, "commands", "reboot"):
            last = source, value
        if last is None or last[1].lower() in ("never", ""):
            continue
        for timer in DNF_TIMERS:
            if _enabled(readings, timer):
                yield AutomaticReboot(readings.host, _hour_of_timer(readings, timer), last[0])


def _by_apt(readings: HostView) -> Iterator[AutomaticReboot]:
    if readings.file(UPGRADE) is None or not _enabled(readings, APT_TIMER):
        return
    options = _apt_options(readings)
    value, source = options.get(REBOOT, ("false", None))
    if source is None or value.lower() in _NO:
        return
    if value.lower() not in _YES:
        raise Unreadable(f"{source} has a value that is neither true nor false: {source.text}")
    enabled, interval = (
        options.get(name, (usual, None))[0] for name, usual in zip(PERIODIC, "10", strict=True)
    )
    if enabled.lower() in _NO or interval.lower() in _NO:
        return
    at, line = options.get(AT, ("now", source))
    if at == "now":
        yield AutomaticReboot(readings.host, _hour_of_timer(readings, APT_TIMER), source)
        return
    time = re.fullmatch(r"([01]?\d|2[0-3]):[0-5]\d", at, re.ASCII)
    if not time:
        raise Unreadable(f"{line} has a time that is not HH:MM: {at[:40]!r}")
    yield AutomaticReboot(readings.host, int(time[1]), line or source)


def _apt_options(readings: HostView) -> dict[str, tuple[str, ConfigLine]]:
    """Each option of apt, in small letters, with its last value and line."""
    found: dict[str, tuple[str, ConfigLine]] = {}
    named = sorted(readings.files(APT_FOLDER), key=conf_dirs.name_of)
    files = [f for f in named if re.fullmatch(r"[\w-]+(\.conf)?", conf_dirs.name_of(f), re.ASCII)]
    for file in (*files, *readings.files(APT_LAST)):
        if file.kind != "f":
            continue
        text = _COMMENT.sub(lambda m: "\n" * m[0].count("\n"), "\n".join(file.lines))
        scopes: list[str] = []
        words: list[str] = []
        for token in _TOKEN.finditer(text):
            quoted, mark, word = token.groups()
            if mark == "{":
                scopes.append(words[0] if words else "")
                words = []
            elif mark == "}":
                scopes, words = scopes[:-1], []
            elif mark == ";":
                if len(words) == 2:
                    number = text.count("\n", 0, token.start()) + 1
                    line = file.lines[number - 1].strip(BLANKS)
                    name = "::".join([*filter(None, scopes), words[0]]).lower()
                    found[name] = words[1], ConfigLine(file.path, number, line, True, file.changed)
                words = []
            else:
                words.append(quoted if quoted is not None else word)
    return found


def _enabled(readings: HostView, timer: str) -> bool:
    """Whether the timer is installed, not masked, and started at boot."""
    if systemd_units.mask(readings, timer) or timer not in systemd_units.in_force(readings, timer):
        return False
    return bool(systemd_units.pull_links(readings, timer))


def _hour_of_timer(readings: HostView, timer: str) -> int:
    """The hour of its OnCalendar=. Raises Unreadable where it has none, or several."""
    own = systemd_units.in_force(readings, timer)[timer]
    dropins = conf_dirs.effective(readings.files(*systemd_units.dropin_patterns(timer)))
    values: list[str] = []
    for file in (own, *dropins):
        for _, value, _ in assignments(file, "Timer", "OnCalendar"):
            values = [*values, value] if value else []
    hours = [re.search(r"(?<!\S)(\d{1,2}):\d{1,2}", value, re.ASCII) for value in values]
    hour = int(hours[0][1]) if len(hours) == 1 and hours[0] else 24
    if hour > 23:
        raise Unreadable(
            f"{timer} starts at other times than one of the day ({', '.join(values)[:80]}): "
            f"`systemctl list-timers {timer}` shows them"
        )
    return hour

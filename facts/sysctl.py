"""Kernel parameters: what the kernel has now, and which line of sysctl.d wins at boot.

Sources: sysctl.d(5), systemd-sysctl.service(8); proc_sys(5).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from hale.fact import File, Files, Probe, Readings, Source, Unreadable
from hale.inventory import Host
from hale.standard import Case

# Highest priority first: a file hides one of the same name in a later folder. The names are
# then sorted, whatever their folder, and the last line that sets a key wins.
FOLDERS = (
    "/etc/sysctl.d",
    "/run/sysctl.d",
    "/usr/local/lib/sysctl.d",
    "/usr/lib/sysctl.d",
    "/lib/sysctl.d",
)
PATTERNS = tuple(f"{folder}/*.conf" for folder in FOLDERS)


@dataclass(frozen=True)
class Parameters:
    """A kernel parameter in sysctl's spelling, and its value."""

    key: str
    value: int


@dataclass(frozen=True)
class Runtime:
    """The kernel's value; None where the kernel has no such parameter."""

    key: str
    value: int | None
    sources: tuple[Source, ...] = ()

    @property
    def actual(self) -> str:
        if self.value is None:
            return f"the kernel has no {self.key}: {_path(self.key)} does not exist"
        return f"{self.key} is {self.value}"


@dataclass(frozen=True)
class Persisted:
    """The value after a boot; None where no line sets it."""

    key: str
    value: int | None
    sources: tuple[Source, ...] = ()

    @property
    def actual(self) -> str:
        winner = next((s for s in self.sources if s.wins), None)
        if winner is None:
            return f"no line of sysctl.d sets {self.key}"
        losers = ", ".join(str(s) for s in self.sources if not s.wins)
        behind = f" (wins over {losers})" if losers else ""
        return f"{winner} sets {self.key} to {self.value}{behind}"


def probes(host: Host, cases: Sequence[Case[Parameters]]) -> tuple[Probe, ...]:
    """The keys' files below /proc/sys, and all of sysctl.d."""
    return (Files(*(_path(case.parameters.key) for case in cases), *PATTERNS),)


def runtime(readings: Readings, case: Case[Parameters]) -> Runtime:
    """What the kernel says. Raises Unreadable for a value that is no number."""
    key = case.parameters.key
    file = readings.file(_path(key))
    return Runtime(key, None if file is None else _number("".join(file.lines), file.path))


def persisted(readings: Readings, case: Case[Parameters]) -> Persisted:
    """Which line wins at boot, as systemd-sysctl.service reads them."""
    key = case.parameters.key
    lines = assignments(readings.files(*PATTERNS), key)
    if not lines:
        return Persisted(key, None)
    *losers, (winner, value) = lines
    sources = (
        Source(winner.path, winner.line, winner.text, wins=True, changed=winner.changed),
        *(source for source, _ in reversed(losers)),
    )
    return Persisted(key, _number(value, str(winner)), sources)


def assignments(files: Sequence[File], key: str) -> list[tuple[Source, str]]:
    """Every line that would set this key, in the order in which a boot applies them."""
    chosen: dict[str, File] = {}
    for file in files:  # by folder, highest priority first
        chosen.setdefault(file.path.rpartition("/")[2], file)
    exact: list[tuple[Source, str]] = []
    globbed: list[tuple[Source, str]] = []
    for name in sorted(chosen):
        file = chosen[name]
        if file.masked or file.kind != "f":
            continue
        for number, line in enumerate(file.lines, 1):
            pattern, value = _assignment(line)
            if value is None:
                continue
            source = Source(file.path, number, line.strip(), changed=file.changed)
            if pattern == key:
                exact.append((source, value))
            elif fnmatchcase(key, pattern):
                globbed.append((source, value))
    # A pattern sets only those keys that no line names in full.
    return exact or globbed


def _assignment(line: str) -> tuple[str, str | None]:
    """The key as sysctl spells it and its value; None for a line that sets nothing."""
    line = line.strip()
    if not line or line[0] in "#;":
        return "", None
    key, equals, value = line.partition("=")
    return _dotted(key.strip().removeprefix("-").strip()), value.strip() if equals else None


def _dotted(key: str) -> str:
    """Both spellings in one: the first of `.` and `/` is what separates."""
    first = next((c for c in key if c in "./"), ".")
    return key if first == "." else key.translate(str.maketrans("./", "/."))


def _path(key: str) -> str:
    return "/proc/sys/" + key.translate(str.maketrans("./", "/."))


def _number(text: str, where: str) -> int:
    try:
        return int(text.strip(), 0)
    except ValueError:
        raise Unreadable(f"{where}: {text.strip()!r} is no number") from None

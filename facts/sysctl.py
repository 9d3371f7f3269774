"""Kernel parameters: the kernel's value now, and the line of sysctl.d that wins at boot.

Sources: sysctl.d(5), systemd-sysctl.service(8) and its source, src/sysctl/sysctl.c;
proc_sys(5); the kernel's kernel/sysctl.c for the numbers that it accepts.

`persisted` mirrors systemd-sysctl: all files are first read into one table, in which a key's last
line replaces the earlier ones, and the table is then written to /proc/sys in its order. Not
covered: values that other programs write later (networkd, tuned, docker), and credentials. The
requirement that loads a module covers whether the module's keys exist by then.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from msgspec import Struct
from msgspec.structs import replace

from facts.parsers import boot_files, conf_dirs, kernel_cmdline, systemd_units
from facts.parsers.blanks import BLANKS
from hale.inventory.ini import Host
from hale.model import budgets
from hale.model.evidence import (
    Allowance,
    CommandProbe,
    ConfigLine,
    File,
    FileProbe,
    HostView,
    Probe,
    Unreadable,
    matches,
)
from hale.model.requirement import Case

ROOT = "/proc/sys"
PATTERNS = conf_dirs.patterns("sysctl.d")
# Read at boot only where a link in sysctl.d leads to it, as on Debian 12 and Red Hat 8 and 9.
OLD_FILE = "/etc/sysctl.conf"
SERVICE = "systemd-sysctl.service"
# The first systemd with patterns (`net.*.x = 1`) and exclusions (`-net.y`).
PATTERNS_SINCE = 245
# The library's name contains the version; the shell's own globbing finds it without a fork.
VERSION = CommandProbe(
    "systemd",
    "for f in /usr/lib/systemd/libsystemd-shared-*.so /lib/systemd/libsystemd-shared-*.so "
    "/usr/lib/*/systemd/libsystemd-shared-*.so /lib/*/systemd/libsystemd-shared-*.so\n"
    'do if [ -e "$f" ]; then echo "$f"; fi; done',
)


class SysctlParameters(Struct, frozen=True):
    """A kernel parameter in sysctl's spelling, and its value.

    same_as: other names of the same kernel variable; a value written to one of them is the value
    of all. disturbs: parameters that the kernel resets when this one changes. leads: those that
    it sets to the same value. module: the module that creates the parameter. file: the file in
    which the baseline sets it.
    """

    key: str
    value: int
    same_as: tuple[str, ...] = ()
    disturbs: tuple[str, ...] = ()
    leads: tuple[str, ...] = ()
    module: str = ""
    file: str = ""


class SysctlRuntime(Struct, frozen=True):
    """The kernel's value; None where the kernel has no such parameter."""

    key: str
    value: int | None
    sources: tuple[ConfigLine, ...] = ()

    @property
    def actual(self) -> str:
        if self.value is None:
            return f"the kernel has no {self.key}: {path_of(self.key)} does not exist"
        return f"{self.key} is {self.value}"


class SysctlLine(Struct, frozen=True):
    """A line of sysctl.d that names the parameter, another name of it, or a matching pattern.

    key: a path below /proc/sys. value: None for an exclusion. file: the file that contains the
    line, links resolved.
    """

    source: ConfigLine
    key: str
    value: str | None
    file: str

    @property
    def pattern(self) -> bool:
        return _is_pattern(self.key)


class SysctlPersisted(Struct, frozen=True):
    """The value after a boot; None where no line sets one that the kernel would accept.

    lost: why lines that appear to set it do not. differs: the value with the files now in /run, if
    different; a boot empties /run, but a program may fill it again. lines: all that affect it, in
    reading order, those in /run too. place: the file to add a line to, None where there is none.
    masked: the mask that keeps all files from being read.
    """

    key: str
    value: int | None
    sources: tuple[ConfigLine, ...] = ()
    lost: str = ""
    differs: str = ""
    lines: tuple[SysctlLine, ...] = ()
    place: str | None = None
    masked: str = ""

    @property
    def actual(self) -> str:
        winner = next((s for s in self.sources if s.wins), None)
        if winner is None:
            text = f"no line of sysctl.d sets {self.key}"
        else:
            losers = ", ".join(
                f"{s} ({s.note})" if s.note else str(s) for s in self.sources if not s.wins
            )
            behind = f" (wins over {losers})" if losers else ""
            text = f"{winner} sets {self.key} to {self.value}{behind}"
        return "; ".join(part for part in (text, self.lost, self.differs) if part)


def probes(host: Host, cases: Sequence[Case[SysctlParameters]]) -> tuple[Probe, ...]:
    """The parameters' files below /proc/sys, all of sysctl.d, and systemd's version."""
    return (
        FileProbe(
            ROOT,
            *(path_of(case.parameters.key) for case in cases),
            *PATTERNS,
            OLD_FILE,
            kernel_cmdline.PATH,
            *systemd_units.file_patterns(SERVICE),
        ),
        VERSION,
        boot_files.PROBE,
    )


def read_runtime(readings: HostView, case: Case[SysctlParameters]) -> SysctlRuntime:
    """The kernel's value. Raises Unreadable for a value that is not a number."""
    key = case.parameters.key
    file = readings.file(path_of(key))
    if file is None:
        _sees_proc_sys(readings)
        return SysctlRuntime(key, None)
    text = "\n".join(file.lines)
    value = number(text)
    if value is None:
        raise Unreadable(f"{file.path}: {text.strip(BLANKS)!r} is not a number")
    return SysctlRuntime(key, value)


@boot_files.kept_by_boot
def read_persisted(readings: HostView, case: Case[SysctlParameters]) -> SysctlPersisted:
    """The line that wins at boot, as systemd-sysctl.service reads and writes them.

    Raises Unreadable.
    """
    parameters = case.parameters
    if mask := systemd_units.mask(readings, SERVICE):
        source = ConfigLine(mask.path, 0, "-> /dev/null", changed=mask.changed)
        why = f"{SERVICE} is masked ({mask.path}): nothing of sysctl.d is set at boot"
        return SysctlPersisted(parameters.key, None, (source,), lost=why, masked=mask.path)
    found = readings.files(*PATTERNS)
    now = _outcome(readings, found, parameters)
    stays = replace(
        _outcome(readings, conf_dirs.persistent(found), parameters),
        lines=tuple(_lines(found, parameters)),
        place=conf_dirs.writable_location(found, parameters.file),
    )
    if now.value == stays.value:
        return stays
    decides = next((s for s in now.sources if s.wins), None)
    return replace(
        stays,
        differs=f"but with what /run holds now it is {now.value}"
        + (f" ({decides})" if decides else "")
        + "; a boot empties /run, unless something fills it again",
    )


class _Entry(Struct, frozen=True):
    """A key's last line in systemd-sysctl's table; `value` None excludes it from patterns."""

    value: str | None
    source: ConfigLine


def _outcome(
    readings: HostView, files: Sequence[File], parameters: SysctlParameters
) -> SysctlPersisted:
    read = conf_dirs.effective(files)
    names = [normalized(key) for key in (parameters.key, *parameters.same_as)]
    table, replaced = _table(read)
    if any(_concerns(p, names) and (_is_pattern(p) or e.value is None) for p, e in table.items()):
        _knows_patterns(readings)
    writes = list(_writes(table, names)) or _kernel_arguments(readings, names)
    losers = [s for key, s in replaced if _concerns(key, names)]
    winner: ConfigLine | None = None
    value: int | None = None
    for source, text in writes:
        taken = number(text)
        if taken is None:
            losers.append(replace(source, note=f"the kernel refuses {text!r}"))
            continue
        if winner:
            losers.append(winner)
        winner, value = source, taken
    lost = _unread(readings, read, parameters) if winner is None else ""
    refused = [f"{s}: {s.note}" for s in losers if s.note] if winner is None else []
    excluded = [
        f"{e.source} takes it out" for k, e in table.items() if k in names and e.value is None
    ]
    return SysctlPersisted(
        parameters.key,
        value,
        (*([replace(winner, wins=True)] if winner else []), *reversed(losers)),
        lost="; ".join(part for part in (lost, *refused, *excluded) if part),
    )


def _lines(found: Sequence[File], parameters: SysctlParameters) -> Iterator[SysctlLine]:
    """The lines of the files that a boot reads, with and without those in /run."""
    names = [normalized(key) for key in (parameters.key, *parameters.same_as)]
    read = {
        f.path: f
        for f in (*conf_dirs.effective(found), *conf_dirs.effective(conf_dirs.persistent(found)))
    }
    for file in sorted(read.values(), key=conf_dirs.name_of):
        for source, key, value in assignments([file]):
            if _concerns(key, names):
                yield SysctlLine(source, key, value, conf_dirs.leads_to(file))


def _table(files: Sequence[File]) -> tuple[dict[str, _Entry], list[tuple[str, ConfigLine]]]:
    """systemd-sysctl's table in its order, and the lines that a later line of the key replaced.

    A key that is set again to the same value keeps its place in the order.
    """
    table: dict[str, _Entry] = {}
    replaced: list[tuple[str, ConfigLine]] = []
    for source, key, value in assignments(files):
        old = table.get(key)
        if old:
            replaced.append((key, old.source))
            if old.value != value:
                del table[key]
        table[key] = _Entry(value, source)
    return table, replaced


def assignments(files: Sequence[File]) -> Iterator[tuple[ConfigLine, str, str | None]]:
    """Every line, its key as a path below /proc/sys, and its value, in reading order.

    The value is None for an exclusion (`-key`). Other lines without `=` are ignored.
    """
    for file in files:
        yield from _assignments(file)


@lru_cache(maxsize=4096)  # every requirement reads all of them, three times
def _assignments(file: File) -> tuple[tuple[ConfigLine, str, str | None], ...]:
    found: list[tuple[ConfigLine, str, str | None]] = []
    allowance = Allowance(budgets.PATTERNS, "patterns")
    for count, raw in enumerate(file.lines, 1):
        for line in raw.split("\r"):  # systemd ends a line at a carriage return too
            line = line.strip(" \t")
            if not line or line[0] in "#;":
                continue
            key, equals, value = line.partition("=")
            if not equals and not key.startswith("-"):
                continue
            name = normalized(key.removeprefix("-").strip(" \t"))
            source = ConfigLine(file.path, count, raw.strip(BLANKS), changed=file.changed)
            if _is_pattern(name):
                allowance.spend(where=source)
            found.append((source, name, value.strip(" \t") if equals else None))
    return tuple(found)


def _writes(table: Mapping[str, _Entry], names: Sequence[str]) -> Iterator[tuple[ConfigLine, str]]:
    """What is written to the parameter, in order; a pattern skips keys that have a line."""
    for key, entry in table.items():
        if entry.value is None:
            continue
        if _is_pattern(key):
            if any(name not in table and _matches(name, key) for name in names):
                yield entry.source, entry.value
        elif key in names:
            yield entry.source, entry.value


def _kernel_arguments(readings: HostView, names: Sequence[str]) -> list[tuple[ConfigLine, str]]:
    """`sysctl.key=value` arguments, which the kernel itself applies before systemd starts.

    Source: the kernel's admin-guide/kernel-parameters, "sysctl.*=".
    """
    file = readings.file(kernel_cmdline.PATH)
    if file is None:
        raise Unreadable(f"{kernel_cmdline.PATH} does not exist: is /proc mounted?")
    return [
        (ConfigLine(file.path, 1, f"{name}={value}", changed=file.changed), value)
        for name, value in kernel_cmdline.arguments(" ".join(file.lines))
        if value is not None
        and name.startswith("sysctl.")
        and normalized(name.removeprefix("sysctl.")) in names
    ]


def _unread(readings: HostView, read: Sequence[File], parameters: SysctlParameters) -> str:
    """A hint where /etc/sysctl.conf would set the key, but no link leads to it; else empty."""
    old = readings.file(OLD_FILE)
    if old is None or old.kind != "f" or any(conf_dirs.leads_to(f) == OLD_FILE for f in read):
        return ""
    names = [normalized(key) for key in (parameters.key, *parameters.same_as)]
    lines = [str(source) for source, key, _ in assignments([old]) if key in names]
    if not lines:
        return ""
    return f"{lines[-1]} does, but no link in sysctl.d leads to that file, so no boot reads it"


def _knows_patterns(readings: HostView) -> None:
    versions = re.findall(r"/libsystemd-shared-(\d+)", readings.text("systemd"), re.ASCII)
    if not versions:
        raise Unreadable("a pattern bears on this key, and systemd's version is unknown")
    if min(map(int, versions)) < PATTERNS_SINCE:
        raise Unreadable(
            f"a pattern bears on this key, which systemd {versions[0]} does not know "
            f"(since {PATTERNS_SINCE}): name the key in full"
        )


def _sees_proc_sys(readings: HostView) -> None:
    """Raises Unreadable unless /proc/sys exists: one parameter may be missing, not all."""
    if readings.file(ROOT) is None:
        raise Unreadable(f"{ROOT} does not exist: is /proc mounted?")


def _concerns(key: str, names: Sequence[str]) -> bool:
    return any(_matches(n, key) for n in names) if _is_pattern(key) else key in names


def _is_pattern(key: str) -> bool:
    return any(c in key for c in "*?[")


def _matches(name: str, pattern: str) -> bool:
    if len(pattern) > budgets.PATTERN_CHARACTERS:
        limit = budgets.PATTERN_CHARACTERS
        raise Unreadable(
            f"a pattern of sysctl.d is longer than {limit} characters: {pattern[:40]}…"
        )
    return matches(f"/{name}", f"/{pattern}")


def normalized(key: str) -> str:
    """The path below /proc/sys. The first `.` or `/` decides which of them is the separator.

    `net.ipv4.conf.eth0/1.x` and `net/ipv4/conf/eth0.1/x` are the same.
    """
    first = next((c for c in key if c in "./"), "/")
    path = key if first == "/" else key.translate(str.maketrans("./", "/."))
    return "/".join(part for part in path.split("/") if part not in ("", "."))


def path_of(key: str) -> str:
    """The parameter's file; a pattern for a key with `*`."""
    return f"{ROOT}/{normalized(key)}"


_NUMBER = re.compile(r"\s*(-?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)(?=[ \t\n]|$)", re.ASCII)


def number(text: str) -> int | None:
    """The kernel's value for a text written to an integer parameter; None: it rejects the text.

    The first number counts (decimal, 0x… or octal 0…) and must be followed by a blank or the end;
    it must fit into 32 bits and, with leading zeros, into 20 characters.
    Source: the kernel's kernel/sysctl.c, proc_get_long.
    """
    found = _NUMBER.match(text)
    if not found:
        return None
    digits = found[2]
    base = 16 if digits[:2] in ("0x", "0X") else 8 if digits[0] == "0" else 10
    value = -int(digits, base) if found[1] else int(digits, base)
    fits = -0x80000000 <= value <= 0x7FFFFFFF and len(found[1] + digits) <= 20
    return value if fits else None

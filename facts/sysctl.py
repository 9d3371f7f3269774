"""Kernel parameters: the kernel's value now, and the line of sysctl.d that wins at boot.

Sources: sysctl.d(5), systemd-sysctl.service(8) and its source, src/sysctl/sysctl.c;
proc_sys(5); the kernel's kernel/sysctl.c for the numbers that it accepts.

`persisted` mirrors systemd-sysctl: all files are first read into one table, in which a key's last
line replaces the earlier ones, and the table is then written to /proc/sys in its order. Before
that it reads what starts the service and with which arguments, and after it, what else writes the
key at boot (facts/parsers/sysctl_writers.py). Not covered: programs that write a key of their own
accord. The requirement that loads a module covers whether the module's keys exist by then. A line
of tmpfiles.d writes after the service, whatever its name.

Where the kernel leads other keys along (each interface has its own `forwarding`), those must have
the value too: a packet that comes in by an interface is forwarded by that interface's key. udev
sets an interface's keys once more when the interface appears, so the order of their lines does not
count (systemd's rules.d/99-systemd.rules).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from weakref import WeakKeyDictionary

from msgspec import Struct
from msgspec.structs import replace

from facts.parsers import (
    boot_commands,
    boot_files,
    boot_loader,
    boot_writes,
    conf_dirs,
    sysctl_writers,
    unit_settings,
)
from facts.parsers.blanks import BLANKS
from facts.parsers.sysctl_table import (
    ROOT,
    TableEntry,
    assignments,
    concerns,
    is_pattern,
    matches_key,
    normalized,
    number,
    path_of,
    table_of,
    writes_of,
)
from hale.inventory.ini import Host
from hale.model.evidence import (
    EXISTENCE,
    CommandProbe,
    ConfigLine,
    File,
    FileProbe,
    HostView,
    Probe,
    Unreadable,
    select,
)
from hale.model.requirement import Case
from hale.shell import arguments

PATTERNS = conf_dirs.patterns("sysctl.d")
# The most files that a process may be allowed, and the kernel's own value of it (fs/file.c).
MOST_FILES_KEY, MOST_FILES_DEFAULT = "fs.nr_open", 1 << 20
# systemd raises it to the most that fits, unless built otherwise as in Debian (src/core/main.c).
MOST_FILES_RAISED = 1_000_000_000
# Those of them that a boot does not empty.
FOLDERS = tuple(f"{parent}/sysctl.d/" for parent in ("/etc", "/usr/local/lib", "/usr/lib"))
_WRITTEN_OUT = re.compile(r"<<|\becho\b|\bprintf\b", re.ASCII)
# Read at boot only where a link in sysctl.d leads to it, as on Debian 12 and Red Hat 8 and 9.
OLD_FILE = "/etc/sysctl.conf"
SERVICE = "systemd-sysctl.service"
PROGRAM = "systemd-sysctl"
# The loopback interface forwards nothing.
LOOPBACK = "lo"
# The key that systemd-networkd writes too.
FORWARDING = "net/ipv4/ip_forward"
# The files that decide a key at boot, but for what runs systemd-sysctl.
LINE_PATTERNS = (*PATTERNS, OLD_FILE, *boot_loader.PATTERNS)
# What systemd-sysctl.service reads after them, from CREDENTIALS_SINCE on.
CREDENTIAL = "sysctl.extra"
CREDENTIALS = tuple(f"{folder}/{CREDENTIAL}" for folder in boot_files.CREDENTIAL_FOLDERS)
ENCRYPTED = tuple(f"{folder}/{CREDENTIAL}" for folder in boot_files.ENCRYPTED_FOLDERS)
CREDENTIALS_SINCE = 252
# Arguments of the kernel by which it, and systemd-tmpfiles, has them too: systemd(1). Their values
# are masked.
_SET_CREDENTIAL = ("systemd.set_credential", "systemd.set_credential_binary")
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

    at_least: whether `value` is a minimum, so that a higher one complies and is never lowered.
    same_as: other names of the same kernel variable; a value written to one of them is the value
    of all. disturbs: parameters that the kernel resets when this one changes. leads: those that
    it sets to the same value. module: the module that creates the parameter. file: the file in
    which the baseline sets it.
    """

    key: str
    value: int
    at_least: bool = False
    same_as: tuple[str, ...] = ()
    disturbs: tuple[str, ...] = ()
    leads: tuple[str, ...] = ()
    module: str = ""
    file: str = ""

    def met_by(self, value: int | None) -> bool:
        """Whether that value of the parameter complies; None, no value, never does."""
        if value is None:
            return False
        return value >= self.value if self.at_least else value == self.value


class SysctlRuntime(Struct, frozen=True):
    """The kernel's value; None where the kernel has no such parameter.

    exceptions: keys that the kernel sets along with it and that have another value now, and that.
    """

    key: str
    value: int | None
    sources: tuple[ConfigLine, ...] = ()
    exceptions: tuple[tuple[str, int], ...] = ()

    @property
    def actual(self) -> str:
        if self.value is None:
            return f"the kernel has no {self.key}: {path_of(self.key)} does not exist"
        others = "".join(f", but {key} is {value}" for key, value in self.exceptions)
        return f"{self.key} is {self.value}{others}"


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
        return is_pattern(self.key)


class SysctlPersisted(Struct, frozen=True):
    """The value after a boot; None where no line sets one that the kernel would accept.

    lost: why lines that appear to set it do not. exceptions: lines that give another value to a key
    that the kernel sets along with it. later: lines outside of sysctl.d that set the key or such a
    key to another value afterwards. differs: the value with the files now in /run, if
    different; a boot empties /run, but a program may fill it again. lines: all that affect it, in
    reading order, those in /run too. place: the file to add a line to, None where there is none.
    unread: why the service does not read the files of sysctl.d at boot.
    """

    key: str
    value: int | None
    sources: tuple[ConfigLine, ...] = ()
    lost: str = ""
    differs: str = ""
    lines: tuple[SysctlLine, ...] = ()
    place: str | None = None
    unread: str = ""
    exceptions: tuple[SysctlLine, ...] = ()
    later: tuple[ConfigLine, ...] = ()

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
        others = [
            f"but {line.source} sets {dotted(line.key)} to {line.value}" for line in self.exceptions
        ]
        after = [f"but {line} sets it after {SERVICE}: {line.text}" for line in self.later]
        return "; ".join(p for p in (text, *others, *after, self.lost, self.differs) if p)


def probes(host: Host, cases: Sequence[Case[SysctlParameters]]) -> tuple[Probe, ...]:
    """The parameters' files below /proc/sys, all of sysctl.d, what runs it, and systemd's version.

    Keys that the kernel sets along are read by a command: a node has hundreds of interfaces.
    """
    leads = dict.fromkeys(path_of(key) for case in cases for key in case.parameters.leads)
    written = [normalized(key) for case in cases for key in _related(case.parameters)]
    return (
        FileProbe(
            ROOT,
            *(path_of(case.parameters.key) for case in cases),
            *PATTERNS,
            OLD_FILE,
            *CREDENTIALS,
            *select(EXISTENCE, *ENCRYPTED),
            *unit_settings.START_FILES,
            *unit_settings.patterns(SERVICE),
        ),
        VERSION,
        boot_files.PROBE,
        *boot_commands.probes(cases),
        CommandProbe("leads", arguments(*leads) + _LEADS),
        sysctl_writers.probe(written),
    )


# Patterns, to be expanded and nothing else.
_LEADS = """IFS=
set -- $@
grep -sH '' /dev/null "$@" || [ $? -le 2 ]"""


def _related(parameters: SysctlParameters) -> tuple[str, ...]:
    return (parameters.key, *parameters.same_as, *parameters.leads)


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
    exceptions = _exceptions(readings, case.parameters) if case.parameters.met_by(value) else ()
    return SysctlRuntime(key, value, exceptions=tuple(exceptions))


def _exceptions(readings: HostView, parameters: SysctlParameters) -> Iterator[tuple[str, int]]:
    """The keys that the kernel sets along, and that have another value."""
    if not parameters.leads:
        return
    for line in readings.output("leads").lines:
        path, _, text = line.partition(":")
        key = path.removeprefix(f"{ROOT}/")
        value = number(text)
        if value is not None and not parameters.met_by(value) and _leads(key, parameters):
            yield dotted(key), value


def _leads(key: str, parameters: SysctlParameters) -> bool:
    """Whether it is a key that must have the value too."""
    if key in (normalized(k) for k in (parameters.key, *parameters.same_as)):
        return False
    if LOOPBACK in key.split("/"):
        return False
    return any(matches_key(key, normalized(lead)) for lead in parameters.leads)


def dotted(key: str) -> str:
    """A path below /proc/sys in sysctl's usual spelling."""
    return key.translate(str.maketrans("./", "/."))


@boot_files.kept_by_boot
def read_persisted(readings: HostView, case: Case[SysctlParameters]) -> SysctlPersisted:
    """The line that wins at boot, as systemd-sysctl.service reads and writes them.

    Raises Unreadable.
    """
    parameters = case.parameters
    start = unit_settings.start_of(readings, SERVICE, PROGRAM)
    unread = _unread_by(start, parameters)
    if unread:
        source = (start.line,) if start.line else ()
        why = f"{unread}: nothing of sysctl.d is set at boot"
        return SysctlPersisted(parameters.key, None, source, lost=why, unread=unread)
    found = readings.files(*PATTERNS)
    now = _outcome(readings, found, parameters)
    stays = replace(
        _outcome(readings, conf_dirs.persistent(found), parameters),
        lines=tuple(_lines(found, parameters)),
        place=conf_dirs.writable_location(found, parameters.file),
    )
    try:
        stays = replace(stays, later=tuple(dict.fromkeys(_later(readings, parameters))))
        if not stays.later:
            _refuse_writes(readings, parameters, stays.sources)
    except Unreadable:
        if parameters.met_by(stays.value) and not stays.exceptions:
            raise
    if now.value == stays.value or all(map(parameters.met_by, (now.value, stays.value))):
        return stays
    decides = next((s for s in now.sources if s.wins), None)
    return replace(
        stays,
        differs=f"but with what /run holds now it is {now.value}"
        + (f" ({decides})" if decides else "")
        + "; a boot empties /run, unless something fills it again",
    )


def _unread_by(start: unit_settings.Start, parameters: SysctlParameters) -> str:
    """Why the service does not set this key at boot; empty where it does.

    Raises Unreadable for arguments by which it reads other files.
    """
    if start.problem:
        return start.problem
    prefixes = []
    for word in start.arguments:
        option, equals, value = word.partition("=")
        if option != "--prefix" or not equals:
            raise Unreadable(
                f"{start.line} has {SERVICE} run with {word!r}: which files it reads then is not "
                f"known (`systemctl cat {SERVICE}`)"
            )
        prefixes.append(normalized(value.removeprefix(ROOT)))
    names = [normalized(key) for key in (parameters.key, *parameters.same_as)]
    if not prefixes or any(f"{n}/".startswith(f"{p}/") for n in names for p in prefixes):
        return ""
    return f"{start.line} has {SERVICE} set only what is below {', '.join(prefixes)}"


def _later(readings: HostView, parameters: SysctlParameters) -> Iterator[ConfigLine]:
    """Lines outside of sysctl.d that set the key, or one that follows it, to another value.

    Raises Unreadable where a line writes a value that it does not show.
    """
    keys = [normalized(key) for key in _related(parameters)]
    own = [normalized(key) for key in (parameters.key, *parameters.same_as)]
    for source, key, text in assignments(_credentials(readings)):
        named = concerns(key, own) or _leads(key, parameters)
        if named and (text is None or not parameters.met_by(number(text))):
            yield source
    for line, path, text in boot_files.tmpfiles_writes(readings, f"{ROOT}/"):
        hit = path.removeprefix(f"{ROOT}/")
        written = number(text)
        if (concerns(hit, own) or _leads(hit, parameters)) and not parameters.met_by(written):
            yield line
    for write in sysctl_writers.writes(readings, list(dict.fromkeys(keys))):
        if write.key not in own and not _leads(write.key, parameters):
            continue
        value = number(write.value) if write.value is not None else None
        if value is None:
            raise Unreadable(
                f"{write.source} writes {dotted(write.key)} after {SERVICE}, and not a number that "
                f"stands there: {write.source.text}"
            )
        if parameters.met_by(value):
            continue
        if write.source.path.startswith(sysctl_writers.MODULES):
            raise Unreadable(
                f"{write.source} sets {dotted(write.key)} whenever its module is loaded, which may "
                f"be after {SERVICE}: {write.source.text}"
            )
        yield write.source
    if FORWARDING in own and (lines := sysctl_writers.networkd_forwarding_off(readings)):
        versions = _versions(readings)
        if not versions:
            raise Unreadable(f"{lines[0]} has {lines[0].text}, and systemd's version is unknown")
        if min(versions) >= sysctl_writers.NETWORKD_SINCE:
            yield from lines


def _credentials(readings: HostView) -> list[File]:
    """The credential that the service has at boot. Raises Unreadable where it is not in a file.

    Sources: systemd-sysctl.service(8), "CREDENTIALS"; systemd.exec(5), LoadCredential=.
    """
    for boot in boot_loader.to_come(readings):
        if given := next((name for name, _ in boot.arguments if name in _SET_CREDENTIAL), ""):
            raise Unreadable(
                f"{boot.source} gives a boot's services a credential ({given}=), which may set "
                f"parameters ({CREDENTIAL}) and is not read here: it may be a secret"
            )
    read = unit_settings.files(readings, SERVICE)
    for setting in ("SetCredential", "SetCredentialEncrypted", "LoadCredential"):
        for source, value in unit_settings.values(read, "Service", setting):
            name, colon, _ = value.partition(":")
            if name == CREDENTIAL and colon:
                raise Unreadable(
                    f"{source} gives {SERVICE} parameters as a credential ({setting}=), which is "
                    "not read here"
                )
    found = boot_files.credential(readings, CREDENTIALS, ENCRYPTED)
    versions = _versions(readings) if found else []
    return [] if versions and min(versions) < CREDENTIALS_SINCE else found


def _refuse_writes(
    readings: HostView, parameters: SysctlParameters, sources: Sequence[ConfigLine]
) -> None:
    """Raises Unreadable where a command of a boot may write a file of sysctl.d.

    Text that a script writes out has been judged by its lines, which `_later` has found.
    """
    names = [normalized(key) for key in (parameters.key, *parameters.same_as)]
    winners = [source for source in sources if source.wins]
    words = [*names, *map(dotted, names), *(line.text.lower() for line in winners)]
    interest = boot_writes.Interest(words, winners, lines_known=True)
    files = readings.files(*PATTERNS)
    old = [OLD_FILE] if any(conf_dirs.leads_to(f) == OLD_FILE for f in files) else []
    named = {write.source.path for write in sysctl_writers.writes(readings, names)}
    for target in (*FOLDERS, *old):
        for line in boot_writes.writes(readings, target, interest):
            if not (line.path in named and _WRITTEN_OUT.search(line.text)):
                raise Unreadable(boot_writes.sentence(line, target))


def _versions(readings: HostView) -> list[int]:
    return [
        int(v) for v in re.findall(r"/libsystemd-shared-([0-9]{1,9})", readings.text("systemd"))
    ]


def most_files_at_boot(readings: HostView, now: int) -> tuple[int, str]:
    """fs.nr_open at the next boot, and what makes it that. now: its present value.

    Without a line a value above the kernel's own does not last, unless systemd sets it.
    Raises Unreadable. For the subjects of limits, which probe LINE_PATTERNS.
    """
    if readings not in _MOST_FILES:  # once a row, not once a line of limits.conf
        found = conf_dirs.persistent(readings.files(*PATTERNS))
        then = _outcome(readings, found, SysctlParameters(MOST_FILES_KEY, now))
        winner = next((s for s in then.sources if s.wins), None)
        _MOST_FILES[readings] = then.value, f"{winner}"
    value, why = _MOST_FILES[readings]
    if value is not None:
        return value, why
    if MOST_FILES_DEFAULT < now < MOST_FILES_RAISED:
        return MOST_FILES_DEFAULT, f"the kernel's own; no line of sysctl.d keeps {now}"
    return now, "as now"


_MOST_FILES: WeakKeyDictionary[HostView, tuple[int | None, str]] = WeakKeyDictionary()


def _outcome(
    readings: HostView, files: Sequence[File], parameters: SysctlParameters
) -> SysctlPersisted:
    read = conf_dirs.effective(files)
    names = [normalized(key) for key in (parameters.key, *parameters.same_as)]
    table, replaced = table_of(read)
    if any(concerns(p, names) and (is_pattern(p) or e.value is None) for p, e in table.items()):
        _knows_patterns(readings)
    writes = list(writes_of(table, names)) or _kernel_arguments(readings, parameters)
    losers = [s for key, s in replaced if concerns(key, names)]
    exceptions = tuple(_set_apart(readings, read, table, parameters))
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
        exceptions=exceptions,
    )


def _set_apart(
    readings: HostView,
    read: Sequence[File],
    table: Mapping[str, TableEntry],
    parameters: SysctlParameters,
) -> Iterator[SysctlLine]:
    """Lines that give another value to a key that the kernel sets along with this one.

    New interfaces take that of `default`, which udev does not set once more: its line counts only
    after ours.
    """
    if not parameters.leads:
        return
    names = [normalized(key) for key in (parameters.key, *parameters.same_as)]
    files = {file.path: conf_dirs.leads_to(file) for file in read}
    ours = max((n for n, key in enumerate(table) if concerns(key, names)), default=-1)
    present = [
        line.partition(":")[0].removeprefix(f"{ROOT}/") for line in readings.output("leads").lines
    ]
    for at, (key, entry) in enumerate(table.items()):
        value = number(entry.value) if entry.value is not None else None
        if value is None or parameters.met_by(value):
            continue
        hit = [key]
        if is_pattern(key):
            hit = [k for k in present if k not in table and matches_key(k, key)]
        for one in hit:
            if _leads(one, parameters) and ("default" not in one.split("/") or at > ours):
                path = entry.source.path
                yield SysctlLine(entry.source, key, entry.value, files.get(path, path))
                break


def _lines(found: Sequence[File], parameters: SysctlParameters) -> Iterator[SysctlLine]:
    """The lines of the files that a boot reads, with and without those in /run."""
    names = [normalized(key) for key in (parameters.key, *parameters.same_as)]
    read = {
        f.path: f
        for f in (*conf_dirs.effective(found), *conf_dirs.effective(conf_dirs.persistent(found)))
    }
    for file in sorted(read.values(), key=conf_dirs.name_of):
        for source, key, value in assignments([file]):
            if concerns(key, names):
                yield SysctlLine(source, key, value, conf_dirs.leads_to(file))


def _kernel_arguments(
    readings: HostView, parameters: SysctlParameters
) -> list[tuple[ConfigLine, str]]:
    """`sysctl.key=value` arguments, which the kernel itself applies before systemd starts.

    Source: the kernel's admin-guide/kernel-parameters, "sysctl.*=".
    """
    names = [normalized(key) for key in (parameters.key, *parameters.same_as)]
    boots = [
        [
            (replace(boot.source, text=f"{name}={value}"), value)
            for name, value in boot.arguments
            if value is not None
            and name.startswith("sysctl.")
            and normalized(name.removeprefix("sysctl.")) in names
        ]
        for boot in boot_loader.to_come(readings)
    ]
    # A command line that lacks it, or has another value, may be the next boot's.
    return min(
        boots,
        key=lambda found: (bool(found), bool(found) and parameters.met_by(number(found[-1][1]))),
    )


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
    versions = _versions(readings)
    if not versions:
        raise Unreadable("a pattern bears on this key, and systemd's version is unknown")
    if min(versions) < PATTERNS_SINCE:
        raise Unreadable(
            f"a pattern bears on this key, which systemd {versions[0]} does not know "
            f"(since {PATTERNS_SINCE}): name the key in full"
        )


def _sees_proc_sys(readings: HostView) -> None:
    """Raises Unreadable unless /proc/sys exists: one parameter may be missing, not all."""
    if readings.file(ROOT) is None:
        raise Unreadable(f"{ROOT} does not exist: is /proc mounted?")

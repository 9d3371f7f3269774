"""What a unit's own files and drop-ins make of it at the next boot: settings, commands, conditions.

Sources: systemd.unit(5) (load path, drop-ins, Condition…=), systemd.syntax(7), systemd.service(5)
(ExecStart=, "COMMAND LINES"), systemd.exec(5) (Environment=, EnvironmentFile=). Only files that
survive a boot count. Not a subject.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress

from msgspec import Struct
from msgspec.structs import replace

from facts.parsers import boot_target, conf_dirs, systemd_units
from facts.parsers.blanks import SYSTEMD_BLANKS as BLANKS
from facts.parsers.unit_limits import assignments, logical
from hale.model.evidence import ConfigLine, File, HostView, Selection, Unreadable, select

# Settings by which a command no longer reaches the host's own kernel, files, network or clock, or
# may not start.
CONFINES = (
    "BindPaths", "BindReadOnlyPaths", "CapabilityBoundingSet", "DynamicUser", "EnvironmentFile",
    "ExecCondition", "ExecStartPre", "Group", "IPAddressDeny", "InaccessiblePaths",
    "LoadCredential", "NetworkNamespacePath", "PrivateNetwork", "PrivateUsers", "ProtectClock",
    "ProtectKernelModules", "ProtectKernelTunables", "ReadOnlyPaths", "RestrictAddressFamilies",
    "RootDirectory", "RootImage", "StandardError", "StandardInput", "StandardOutput",
    "SupplementaryGroups", "SystemCallFilter", "TemporaryFileSystem", "User", "WorkingDirectory",
)  # fmt: skip
# Those of them that count where they name a file or a folder: without it, the start fails.
_OF_FILES = (
    "EnvironmentFile", "LoadCredential", "StandardError", "StandardInput", "StandardOutput",
    "WorkingDirectory",
)  # fmt: skip
# Those that hold up no clock, and that hardened hosts have: they concern the kernel's parameters.
_OF_KERNEL = ("ProtectKernelModules", "ProtectKernelTunables")
NO = ("", "no", "false", "off", "0", "n", "f")
# Conditions of systemd's own unit files that a running host with systemd's folders meets.
USUAL_CONDITIONS = (
    "ConditionPathIsReadWrite=/proc/sys/net/",
    "ConditionCapability=CAP_SYS_MODULE",
)
# Of packages: a time program gives way to another one (disable-with-time-daemon.conf).
_GIVES_WAY = "ConditionFileIsExecutable=!"
_DEMANDS_FILE = (
    "ConditionPathExists", "ConditionFileNotEmpty", "AssertPathExists", "AssertFileNotEmpty",
)  # fmt: skip
_CONDITION = re.compile(r"(Condition|Assert)[A-Z]\w*\Z", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_PREFIXES = "@-:+!|"
# Sections, commands, conditions, and what confines; of variables only those with options, since
# others may be secrets. A carriage return within a line ends one too.
LINES = Selection(
    rf".*(\[|(Exec[A-Z]|Condition[A-Z]|Assert[A-Z])[A-Za-z]*[[:space:]]*=|EnvironmentFile"
    rf"|Environment[[:space:]]*=.*--|({'|'.join(CONFINES)})[[:space:]]*="
    r"|(Set|Load|Import)Credential[A-Za-z]*[[:space:]]*=[[:space:]]*(sysctl|tmpfiles)[.])|\xef\xbb\xbf"
)
# Of them, conditions: of commands of the site's own, words may be secrets.
_CONDITIONS = Selection(
    r"(.*\r)?[[:space:]]*(\[|(Condition|Assert)[A-Z][A-Za-z]*[[:space:]]*=)|\xef\xbb\xbf"
)
# What `start_of` reads beside the unit's own files.
START_FILES = boot_target.FILES


class CommandLine(Struct, frozen=True):
    """A command line of a unit, without the prefixes, and the line that has it."""

    source: ConfigLine
    text: str

    @property
    def words(self) -> list[str]:
        """Its words; quotes join, and are removed."""
        return command_words(self.text)


def patterns(unit: str) -> tuple[str, ...]:
    """The files that decide how a boot starts this unit, and the links that pull it in."""
    return (
        *select(LINES, *systemd_units.file_patterns(unit), *_dropins(unit)),
        *systemd_units.existence(unit),
    )


def condition_patterns(unit: str) -> tuple[str, ...]:
    """What `refuse_conditions` reads."""
    return select(_CONDITIONS, *systemd_units.file_patterns(unit), *_dropins(unit))


def _dropins(unit: str) -> tuple[str, ...]:
    """Patterns of drop-ins by priority: the unit's own, its prefixes', then its type's."""
    stem, _, kind = unit.rpartition(".")
    parts = stem.split("-")
    prefixes = ("-".join(parts[:n]) for n in range(len(parts) - 1, 0, -1))
    names = [unit, *(f"{prefix}-.{kind}" for prefix in prefixes if prefix), kind]
    return tuple(f"{folder}/{name}.d/*.conf" for name in names for folder in systemd_units.FOLDERS)


def files(readings: HostView, unit: str) -> list[File]:
    """The unit's own file, then its drop-ins in reading order; empty where it is not installed."""
    main = systemd_units.in_force(readings, unit).get(unit)
    if main is None or main.kind != "f":
        return []
    return [main, *conf_dirs.effective(readings.files(*_dropins(unit)))]


def values(read: Sequence[File], section: str, key: str) -> list[tuple[ConfigLine, str]]:
    """A key's values in order; an empty one forgets those before it."""
    found: list[tuple[ConfigLine, str]] = []
    for file in read:
        for source, value, _ in assignments(file, section, key):
            found = [*found, (source, value)] if value else []
    return found


def commands(read: Sequence[File], key: str = "ExecStart") -> list[CommandLine]:
    """The command lines of a key that apply after all drop-ins."""
    found = values(read, "Service", key)
    return [CommandLine(source, value.lstrip(_PREFIXES)) for source, value in found]


def confined(read: Sequence[File], keys: Sequence[str] = CONFINES) -> ConfigLine | None:
    """The line by which its commands may not reach what they set; None without one."""
    for key in keys:
        found = values(read, "Service", key)
        if key.startswith("Exec"):  # with `-`, it may fail
            found = [one for one in found if "-" not in _prefixes(one[1])]
        if key in _OF_FILES:
            found = [one for one in found if one[1].startswith("/") or ":/" in one[1]]
        if found and found[-1][1].lower() not in NO:
            return found[-1][0]
    return None


def _prefixes(command: str) -> str:
    return command[: len(command) - len(command.lstrip(_PREFIXES))]


def clock_confined_by_site(readings: HostView, unit: str) -> ConfigLine | None:
    """As `confined`, for the clock, by the site's drop-ins alone: a package knows what its own
    program needs."""
    own = [f for f in files(readings, unit) if _is_dropin(f) and f.path.startswith("/etc/")]
    return confined(own, [key for key in CONFINES if key not in _OF_KERNEL])


def conditions(read: Sequence[File]) -> list[ConfigLine]:
    """Conditions beyond the usual ones of systemd's own files; `|` ones of these do not count."""
    found: list[ConfigLine] = []
    for file in read:
        packaged = file.path.startswith(("/usr/lib/", "/lib/"))
        vendors = packaged and not _is_dropin(file)
        inside = ""
        for number, text, _ in logical(file):
            if text.startswith("["):
                inside = text.strip("[]")
                continue
            key, equals, value = (part.strip(BLANKS) for part in text.partition("="))
            if inside != "Unit" or not equals or not _CONDITION.match(key):
                continue
            source = ConfigLine(file.path, number, text, changed=file.changed)
            if not value:
                found = []
            elif packaged and f"{key}={value}".startswith(_GIVES_WAY):
                continue
            elif not vendors and f"{key}={value}" not in USUAL_CONDITIONS:
                found.append(source)
    return found


def refuse_conditions(readings: HostView, unit: str, present: Collection[str] = ()) -> None:
    """Raises Unreadable where a boot starts the unit under conditions of the site's own.

    present: files that are there, and not empty: conditions that demand no more hold.
    """
    for held in conditions(files(readings, unit)):
        key, _, value = (part.strip(BLANKS) for part in held.text.partition("="))
        if key in _DEMANDS_FILE and value in present:
            continue
        raise Unreadable(
            f"{held} has {held.text}: whether a boot starts {unit} depends on it "
            f"(`systemctl show {unit} --property=ConditionResult` has the last answer)"
        )


def _is_dropin(file: File) -> bool:
    return file.path.split("/")[-2].endswith(".d")


def environment(readings: HostView, read: Sequence[File]) -> Iterator[tuple[ConfigLine, str, str]]:
    """Variables in the order in which later ones replace earlier ones: Environment=, then files.

    Raises Unreadable for a file of variables that is not among the readings.
    """
    for source, value in values(read, "Service", "Environment"):
        for word in command_words(value):
            name, equals, text = word.partition("=")
            if equals:
                yield source, name, text
    for source, value in values(read, "Service", "EnvironmentFile"):
        path = value.removeprefix("-")
        try:
            file = readings.file(path)
        except Unreadable as error:
            raise Unreadable(f"{source} has it read variables of {path}: {error}") from None
        if file is None or file.kind != "f":
            if not value.startswith("-"):
                raise Unreadable(f"{source} requires {path}, which is not there")
            continue
        yield from variables_of(file)


def variables_of(file: File) -> Iterator[tuple[ConfigLine, str, str]]:
    """The assignments of a file of variables, as systemd reads it (no `export`, no expansion)."""
    held, first = "", 0
    for number, line in enumerate(file.lines, 1):
        first = first if held else number
        held += line.rstrip("\r")
        if held.endswith("\\"):
            held = held[:-1]
            continue
        text, held = held.strip(BLANKS), ""
        name, equals, value = text.partition("=")
        if (
            text[:1] in ("#", ";")
            or not equals
            or not re.fullmatch(r"[A-Za-z_]\w*", name.strip(BLANKS), re.ASCII)
        ):
            continue
        source = ConfigLine(file.path, first, text, changed=file.changed)
        yield source, name.strip(BLANKS), _unquoted(value.strip(BLANKS))


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    return text


def command_words(text: str) -> list[str]:
    """Words at blanks; single and double quotes join and are removed, as in systemd.syntax(7)."""
    words: list[str] = []
    word, quote, started = "", "", False
    for character in text:
        if quote:
            if character == quote:
                quote = ""
            else:
                word += character
        elif character in "\"'":
            quote, started = character, True
        elif character in BLANKS:
            if started:
                words.append(word)
            word, started = "", False
        else:
            word, started = word + character, True
    return [*words, word] if started else words


class Start(Struct, frozen=True):
    """How a boot runs the program of one of systemd's own units.

    problem: why it does not, in a sentence; line: the line that says so. arguments: what its
    command line has beside the program.
    """

    problem: str = ""
    line: ConfigLine | None = None
    arguments: tuple[str, ...] = ()

    def blocking_line(self, unit: str) -> ConfigLine:
        """The line, or the unit itself, with what it does as its note."""
        line = self.line or ConfigLine(unit, 0, "")
        return replace(line, note=self.problem.removeprefix(f"{line} "))


def not_run(readings: HostView, unit: str, *programs: str, present: Collection[str] = ()) -> str:
    """Why a boot does not run any of these programs by this unit; empty where it does.

    Masks on kernel command lines, commands that drop-ins replace; the unit's own mask and links are
    the caller's. present: as in `refuse_conditions`. Raises Unreadable for conditions, and for
    commands of the site's own.
    """
    with suppress(Unreadable):  # files of /boot: requirements about arguments report them
        if line := boot_target.masked_by_argument(readings, unit):
            return f"{line} masks {unit} (kernel argument {boot_target.MASK})"
    read = files(readings, unit)
    if not read:
        return ""
    refuse_conditions(readings, unit, present)
    found = commands(read)
    if not any(any(assignments(file, "Service", "ExecStart")) for file in read):
        return ""  # a unit without a command of its own
    if any(program in command.text for command in found for program in programs):
        return ""
    return _started(unit, programs[0], found).problem


def start_of(readings: HostView, unit: str, program: str) -> Start:
    """Whether a boot runs this program by this unit, and with which arguments.

    Raises Unreadable where that depends on what files do not say: conditions, commands of the
    site's own.
    """
    if kept := systemd_units.mask(readings, unit):
        target = f"-> {kept.target}" if kept.target else "(empty)"
        line = ConfigLine(kept.path, 0, target, changed=kept.changed)
        return Start(f"{unit} is masked ({kept.path})", line)
    if argument := boot_target.masked_by_argument(readings, unit):
        return Start(f"{argument} masks {unit} (kernel argument {boot_target.MASK})", argument)
    if reached := boot_target.emergency(readings):
        return Start(f"{reached} {reached.note}, nor {unit}", reached)
    read = files(readings, unit)
    if not read:
        return Start(f"{unit} is not installed")
    if not systemd_units.pull_links(readings, unit):
        return Start(f"{unit} is started by nothing at boot: no unit's folder has a link to it")
    refuse_conditions(readings, unit)
    if limit := confined(read):
        raise Unreadable(
            f"{limit} has {limit.text}: what {unit} can do then is not known "
            f"(`systemctl cat {unit}`)"
        )
    return _started(unit, program, commands(read))


def _started(unit: str, program: str, found: Sequence[CommandLine]) -> Start:
    for command in found:
        words = command.words
        if words and words[0].rpartition("/")[2] == program:
            return Start(line=command.source, arguments=tuple(words[1:]))
    if not found:
        return Start(f"{unit} has no ExecStart= that remains")
    words = found[0].words
    if words and words[0].rpartition("/")[2] in ("true", "false", ":", "echo", "sleep"):
        return Start(
            f"{found[0].source} has {unit} run {words[0]} instead of {program}", found[0].source
        )
    raise Unreadable(
        f"{found[0].source} has {unit} run another command than {program}: {found[0].source.text} "
        f"(`systemctl cat {unit}`)"
    )

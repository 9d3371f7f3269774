"""SELinux: its mode now, and its mode after a boot.

Sources: selinux(8), selinux_config(5), setenforce(8) and libselinux' selinux_getenforcemode and
selinux_init_load_policy; the kernel's admin-guide/kernel-parameters (selinux=, enforcing=,
lsm=, security=).

In /etc/selinux/config, the first line counts that begins with `SELINUX=` followed by a mode, in
upper or lower case; a line with a blank at its start or before the `=` does not count. Without such
a line a boot is permissive. The argument `selinux=0` overrides the file, and so does `enforcing=`
unless the file says disabled.
"""

from collections.abc import Collection, Sequence

from msgspec import Struct
from msgspec.structs import replace

from facts.parsers import boot_commands, boot_files, boot_loader, boot_writes, ip_command
from facts.parsers.blanks import BLANKS, is_decimal, split_words
from facts.parsers.boot_loader import Boot
from hale.inventory.ini import Host
from hale.model.evidence import ConfigLine, FileProbe, HostView, Probe, Unreadable
from hale.model.requirement import Case

ENFORCE = "/sys/fs/selinux/enforce"
FILE_SYSTEMS = "/proc/filesystems"
# PID 1's label: `kernel` as long as no policy is loaded.
LABEL = "/proc/1/attr/current"
CONFIG = "/etc/selinux/config"
# Red Hat's link to CONFIG; `sed -i` replaces it with a file that no program reads.
OLD_CONFIG = "/etc/sysconfig/selinux"
DISABLED, PERMISSIVE, ENFORCING = "disabled", "permissive", "enforcing"
# What setenforce(8) sets.
_SET = {"0": PERMISSIVE, "permissive": PERMISSIVE, "1": ENFORCING, "enforcing": ENFORCING}


class SelinuxParameters(Struct, frozen=True):
    """The modes that the configuration may have."""

    modes: tuple[str, ...]

    @property
    def modes_until_boot(self) -> tuple[str, ...]:
        """The modes that SELinux may have now.

        Only a boot disables it: permissive is accepted until then.
        """
        return (*self.modes, PERMISSIVE) if DISABLED in self.modes else self.modes


class SelinuxRuntime(Struct, frozen=True):
    """The current mode, and the evidence for it."""

    mode: str
    why: str
    sources: tuple[ConfigLine, ...] = ()

    @property
    def actual(self) -> str:
        return f"SELinux is {self.mode} now: {self.why}"


class SelinuxPersisted(Struct, frozen=True):
    """The worst mode of future boots. contradicts: kernel arguments that conflict with the file.

    line: the line of the file that sets the mode. configured: that mode. against: boot loader
    lines that keep a boot from the first accepted mode, whatever the file says; `note` has their
    argument. strange: the file's path where it is not a file.
    """

    mode: str
    why: str
    sources: tuple[ConfigLine, ...] = ()
    contradicts: str = ""
    hint: str = ""
    configured: str | None = None
    line: ConfigLine | None = None
    against: tuple[ConfigLine, ...] = ()
    strange: str = ""

    @property
    def actual(self) -> str:
        text = f"a boot makes SELinux {self.mode}: {self.why}"
        return "; ".join(part for part in (text, self.contradicts, self.hint) if part)


def probes(host: Host, cases: Sequence[Case[SelinuxParameters]]) -> tuple[Probe, ...]:
    """The kernel's files, SELinux's configuration, and the boot loader's."""
    return (
        FileProbe(ENFORCE, FILE_SYSTEMS, LABEL, CONFIG, OLD_CONFIG, *boot_loader.PATTERNS),
        boot_files.PROBE,
        *boot_commands.probes(cases),
    )


def read_runtime(readings: HostView, case: Case[SelinuxParameters]) -> SelinuxRuntime:
    """The kernel's current mode. Raises Unreadable where it is not visible."""
    file = readings.file(ENFORCE)
    if file is not None:
        value = "".join(file.lines).strip(BLANKS)
        if value not in ("0", "1"):
            raise Unreadable(f"{ENFORCE}: {value!r}")
        return SelinuxRuntime(ENFORCING if value == "1" else PERMISSIVE, f"{ENFORCE} is {value}")
    if not _active(readings):
        return SelinuxRuntime(
            DISABLED, f"the kernel runs without it ({FILE_SYSTEMS} has no selinuxfs)"
        )
    label = readings.file(LABEL)
    if label is None or "".join(label.lines).strip("\0 ") != "kernel":
        raise Unreadable(f"the kernel has SELinux, but {ENFORCE} is not visible here")
    return SelinuxRuntime(DISABLED, f"no policy is loaded ({LABEL} is `kernel`)")


def _active(readings: HostView) -> bool:
    """Whether the running kernel has SELinux active."""
    file = readings.file(FILE_SYSTEMS)
    if file is None:
        raise Unreadable(f"{FILE_SYSTEMS} does not exist: is /proc mounted?")
    return any(split_words(line)[-1:] == ["selinuxfs"] for line in file.lines)


@boot_files.kept_by_boot
def read_persisted(readings: HostView, case: Case[SelinuxParameters]) -> SelinuxPersisted:
    """The mode of future boots; if they differ, the first one that is not accepted.

    Raises Unreadable.
    """
    mode, lines = _configured(readings)
    by_default = _by_default(readings)
    modes = case.parameters.modes
    boots = boot_loader.to_come(readings)
    outcomes = [_outcome(boot, mode, lines, by_default) for boot in boots]
    bad = [o for o in outcomes if o.mode not in modes or o.contradicts]
    fixed = [ConfigLine(CONFIG, 0, f"SELINUX={mode}") for mode in modes[:1]]
    then = [(boot, _outcome(boot, modes[0], fixed, by_default)) for boot in boots if modes]
    file = readings.file(CONFIG)
    if not bad:
        _refuse_commands(readings, modes, {o.mode for o in outcomes}, lines[:1])
    return replace(
        (bad or outcomes)[0],
        hint=_hint(readings, mode),
        configured=mode,
        line=lines[0] if lines else None,
        against=tuple(
            replace(boot.source, note=_argument(boot))
            for boot, o in then
            if o.mode not in modes or o.contradicts
        ),
        strange=CONFIG if file and file.kind != "f" else "",
    )


def _refuse_commands(
    readings: HostView, modes: Sequence[str], then: Collection[str], lines: Sequence[ConfigLine]
) -> None:
    """Raises Unreadable where a command of a boot may set a mode that is not accepted, or write the
    file. then: the modes of the boots to come; disabled, it cannot be set."""
    words = [line.text.lower() for line in lines]
    boot_writes.refuse(readings, (CONFIG,), boot_writes.Interest(words, lines))
    if {*then} <= {DISABLED}:
        return
    for command in boot_commands.commands(readings, "(^|[^A-Za-z0-9_.-])setenforce[ \t]"):
        for words in ip_command.commands(command.text):
            at = ip_command.program_at(words, "setenforce")
            mode = words[at + 1].lower() if 0 <= at < len(words) - 1 else ""
            if at >= 0 and _SET.get(mode) not in modes:
                raise Unreadable(
                    f"{command.source} may set SELinux's mode after a boot ({command.source.text})"
                )


def _argument(boot: Boot) -> str:
    """The argument that decides SELinux's mode on this command line; empty without one."""
    if boot.last("selinux") == "0":
        return "selinux=0"
    for name in ("lsm", "security"):
        if boot.last(name) is not None and not _runs(boot, by_default=False):
            return f"{name}={boot.last(name)}"
    enforcing = boot.first("enforcing")
    return "" if enforcing is None else f"enforcing={enforcing}"


def _configured(readings: HostView) -> tuple[str | None, list[ConfigLine]]:
    """The file's mode, and its lines that set one, the effective one first."""
    file = readings.file(CONFIG)
    if file is None or file.kind != "f":
        return None, []
    found: list[tuple[str, ConfigLine]] = []
    for count, line in enumerate(file.lines, 1):
        if line.startswith("SELINUX="):
            value = line.removeprefix("SELINUX=").lstrip(BLANKS).lower()
            for mode in (ENFORCING, PERMISSIVE, DISABLED):
                if value.startswith(mode):
                    source = ConfigLine(file.path, count, line.strip(BLANKS), changed=file.changed)
                    found.append((mode, source))
    return (found[0][0] if found else None), [source for _, source in found]


def _by_default(readings: HostView) -> bool:
    """Whether a kernel without arguments runs SELinux, as far as the current boot shows."""
    now = boot_loader.present(readings)
    named = [name for name, _ in now.arguments if name in ("selinux", "security", "lsm")]
    return _active(readings) or bool(named)


def _outcome(
    boot: Boot, mode: str | None, lines: Sequence[ConfigLine], by_default: bool
) -> SelinuxPersisted:
    winner, after = (lines[0] if lines else None), lines[1:]
    file = f"{winner} says {mode}" if winner else f"{CONFIG} names no mode"
    if not _runs(boot, by_default):
        if boot.last("selinux") == "0":
            argument = replace(boot.source, wins=True)
            why = f"{boot.source} has selinux=0, whatever the configuration says ({file})"
            return SelinuxPersisted(
                DISABLED, why, (argument, *([winner] if winner else []), *after)
            )
        return SelinuxPersisted(
            DISABLED, f"the kernel starts without it ({boot.source}; {file})", tuple(lines)
        )
    enforcing = boot.first("enforcing")
    enforce = _number(enforcing) if enforcing is not None else None
    if mode == DISABLED and winner:
        contradicts = f"but {boot.source} has enforcing={enforcing}" if enforce else ""
        return SelinuxPersisted(mode, file, (replace(winner, wins=True), *after), contradicts)
    if enforce is not None:
        argument = replace(boot.source, wins=True)
        return SelinuxPersisted(
            ENFORCING if enforce else PERMISSIVE,
            f"{boot.source} has enforcing={enforcing}, which wins over the configuration ({file})",
            (argument, *([winner] if winner else []), *after),
        )
    if mode is None or winner is None:
        return SelinuxPersisted(PERMISSIVE, f"{file}, and then a boot is permissive", ())
    return SelinuxPersisted(mode, file, (replace(winner, wins=True), *after))


def _runs(boot: Boot, by_default: bool) -> bool:
    """Whether the kernel runs SELinux with these arguments."""
    if boot.last("selinux") == "0":
        return False
    modules, major = boot.last("lsm"), boot.last("security")
    if modules is not None:
        return "selinux" in modules.split(",")
    if major is not None:
        return major == "selinux"
    return by_default or boot.last("selinux") is not None


def _number(text: str) -> int:
    """As atoi(3): the leading digits count, and without any it is 0."""
    digits = text.strip(BLANKS).lstrip("+-")
    count = next((at for at, c in enumerate(digits) if not is_decimal(c)), len(digits))
    return int(digits[:count] or "0")


def _hint(readings: HostView, mode: str | None) -> str:
    """A hint where Red Hat's link has become a separate file; else empty."""
    old = readings.file(OLD_CONFIG)
    if old is None or old.target is not None or old.kind != "f":
        return ""
    for count, line in enumerate(old.lines, 1):
        if line.startswith("SELINUX=") and line.removeprefix("SELINUX=").strip(BLANKS) != mode:
            return f"{OLD_CONFIG}:{count} says otherwise, but should be a link: no program reads it"
    return ""

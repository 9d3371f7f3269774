"""Whether the next boot goes to multi-user.target, which pulls in a host's services. Not a subject.

It does not where a line of fstab cannot be mounted either: local-fs.target fails then, and starts
emergency.target in the place of all else.

Sources: systemd.mount(5), `nofail`; systemd.special(7), local-fs.target (OnFailure=),
default.target, rescue.target, multi-user.target; systemd(1), "KERNEL COMMAND LINE" (systemd.unit=,
single, rescue, emergency, 1 to 5); systemctl(1), set-default.
"""

from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache

from msgspec.structs import replace

from facts.parsers import boot_commands, boot_loader, conf_dirs, systemd_units
from facts.parsers.blanks import SYSTEMD_BLANKS, split_words
from facts.parsers.boot_loader import Boot
from facts.parsers.unit_limits import logical
from hale.model.evidence import ConfigLine, File, HostView, Unreadable

DEFAULT = "default.target"
SERVICES = "multi-user.target"
# The one target that a boot reaches without sysinit.target.
EMERGENCY = "emergency.target"
FILES = (
    *systemd_units.file_patterns(DEFAULT),
    *systemd_units.file_patterns(SERVICES),
    *boot_loader.PATTERNS,
)
# A kernel argument that masks a unit: systemd-debug-generator(8).
MASK = "systemd.mask"
# Those that pull in multi-user.target, and those that do not.
_FULL = (SERVICES, "graphical.target", *(f"runlevel{level}.target" for level in "2345"))
_GRAPHICAL = ("graphical.target", "runlevel5.target")
# Those that no boot comes to, or in the place of multi-user.target.
_ENDS = (
    *("rescue", "emergency", "suspend", "hibernate", "sleep", "hybrid-sleep"),
    *("suspend-then-hibernate", "halt", "poweroff", "reboot", "kexec", "shutdown", "final", "exit"),
    *("umount", "ctrl-alt-del"),
)
_LESS = (
    *("rescue", "emergency", "basic", "sysinit", "local-fs", "network", "network-online"),
    *("halt", "poweroff", "reboot", "kexec", "shutdown", "exit", "runlevel0", "runlevel1"),
    "runlevel6",
)
_WORDS = {
    **dict.fromkeys(("-b", "emergency"), EMERGENCY),
    **dict.fromkeys(("rescue", "single", "-s", "s", "S", "1"), "rescue.target"),
    **{level: f"runlevel{level}.target" for level in "2345"},
}
_PULLS = ("Requires", "Wants", "BindsTo", "Upholds", "Requisite")


def boot_problems(readings: HostView, unit: str) -> list[str]:
    """Why a boot does not start this unit, in sentences; empty where it does.

    The probes must have FILES, and the unit's file_patterns and pull_patterns. Raises Unreadable.
    """
    if kept := systemd_units.mask(readings, unit):
        return [f"{unit} is masked ({kept.path})"]
    file = systemd_units.in_force(readings, unit).get(unit)
    if file is None:
        return [f"{unit} is not installed"]
    if conf_dirs.leads_to(file).startswith("/run/"):
        return [f"{unit} is not there after a boot: {file.path} leads to {file.target}"]
    links = systemd_units.pull_links(readings, unit)
    if not links:
        return [f"{unit} is not enabled: nothing starts it at boot (`systemctl enable {unit}`)"]
    by = {systemd_units.pulled_by(link) for link in links}
    if not any(_is_reached(readings, target) for target in by):
        return [f"{unit} is not started at boot: {' and '.join(sorted(by))} alone would start it"]
    with suppress(Unreadable):  # files of /boot: requirements about arguments report them
        if line := masked_by_argument(readings, unit):
            return [f"{line} masks {unit} (kernel argument {MASK})"]
    if kept_from := obstacle(readings):
        return [f"{unit} does not start at boot: {sentence(kept_from)}"]
    return []


def _is_reached(readings: HostView, target: str) -> bool:
    """Whether a boot comes to this target; true of one that is not known here."""
    if target in _GRAPHICAL:
        return all(_goes_on(readings, goes_to) for _, goes_to in _by_argument(readings))
    return target.removesuffix(".target") not in _ENDS


def _goes_on(readings: HostView, target: str) -> bool:
    """Whether graphical.target is a boot's target, or its default."""
    if target:
        return target in _GRAPHICAL
    file = systemd_units.in_force(readings, DEFAULT).get(DEFAULT)
    if file is None:
        return True
    own = conf_dirs.leads_to(file).rpartition("/")[2]
    return own in _GRAPHICAL or (own not in _FULL and any(n in _GRAPHICAL for n in _pulled(file)))


def masked_by_argument(readings: HostView, unit: str) -> ConfigLine | None:
    """The command line of a boot to come that masks the unit. Raises Unreadable."""
    for boot in boot_loader.to_come(readings):
        if {unit, unit.removesuffix(".service")} & {v for n, v in boot.arguments if n == MASK}:
            return boot.source
    return None


def obstacle(readings: HostView, *, mounts: bool = True) -> ConfigLine | None:
    """The line that makes the next boot end before multi-user.target, with the reason as note.

    None where nothing does. mounts: whether lines of fstab count, for which the probes must have
    boot_commands. Raises Unreadable where default.target is none that systemd brings, and where
    entries of the boot loader differ, and its choice is not known.
    """
    if mask := systemd_units.mask(readings, SERVICES):
        return ConfigLine(
            mask.path, 0, "-> /dev/null", changed=mask.changed, note=f"masks {SERVICES}"
        )
    ends = [
        (source, _default_obstacle(readings) if not target else _obstacle_of(source, target))
        for source, target in _by_argument(readings)
    ]
    return _agreed(ends) or (missing_mount(readings) if mounts else None)


def missing_mount(readings: HostView) -> ConfigLine | None:
    """The line of fstab that ends a boot, as `obstacle` has it. Raises Unreadable."""
    line = boot_commands.missing_mount(readings)
    if line is None:
        return None
    source, folder = split_words(line.text)[:2]
    note = (
        f"has a boot mount {source} at {folder}, and it is not there: without nofail the boot ends "
        f"at {EMERGENCY}, which starts no {SERVICES}"
    )
    return replace(line, note=note)


def emergency(readings: HostView) -> ConfigLine | None:
    """The line that makes the next boot end at emergency.target, which needs no sysinit.target.

    Any other target has the units of an early boot. Raises Unreadable.
    """
    by_default: ConfigLine | None = None
    with suppress(Unreadable):  # a target of the site's own
        by_default = _default_obstacle(readings)
    if by_default and f" {EMERGENCY}," not in by_default.note:
        by_default = None
    return _agreed(
        [
            (source, by_default if not target else _line(source, target))
            if target in ("", EMERGENCY)
            else (source, None)
            for source, target in _by_argument(readings)
        ]
    )


def _agreed(ends: Sequence[tuple[ConfigLine, ConfigLine | None]]) -> ConfigLine | None:
    """What all these boots come to. Raises Unreadable where some have an obstacle."""
    obstacles = [line for _, line in ends if line]
    free = [source for source, line in ends if not line]
    if obstacles and free:
        raise Unreadable(
            f"{obstacles[0]} {obstacles[0].note}, {free[0]} has not, and which of them the boot "
            "loader takes is not known: see its default (`grub2-editenv list`, `bootctl list`)"
        )
    return obstacles[0] if obstacles else None


def _obstacle_of(source: ConfigLine, target: str) -> ConfigLine | None:
    return None if _is_full(target) else _line(source, target)


def _default_obstacle(readings: HostView) -> ConfigLine | None:
    file = systemd_units.in_force(readings, DEFAULT).get(DEFAULT)
    if file is None:
        return None
    text = f"-> {file.target}" if file.target else ""
    source = ConfigLine(file.path, 0, text, changed=file.changed)
    if file.kind != "f" or file.masked:
        return replace(source, note=f"is no unit ({text}), and systemd takes rescue.target instead")
    if conf_dirs.leads_to(file).startswith("/run/"):
        return replace(source, note=f"leads to {file.target}, which a boot empties")
    target = conf_dirs.leads_to(file).rpartition("/")[2]
    return None if _is_full(target, file) else _line(source, target)


def sentence(line: ConfigLine) -> str:
    """The reason, for people, and the command that removes it where one does."""
    command = f" (`systemctl set-default {SERVICES}`)" if line.path.endswith(DEFAULT) else ""
    return f"{line} {line.note}{command}"


def _line(source: ConfigLine, target: str) -> ConfigLine:
    return replace(source, note=f"has the next boot go to {target}, which starts no {SERVICES}")


def _is_full(target: str, file: File | None = None) -> bool:
    if target in _FULL:
        return True
    if target.removesuffix(".target") in _LESS:
        return False
    if file and any(name in _FULL for name in _pulled(file)):
        return True
    raise Unreadable(
        f"the next boot goes to {target}, and whether that starts {SERVICES} is unknown: see "
        f"`systemctl list-dependencies {target}`"
    )


@lru_cache
def _pulled(file: File) -> tuple[str, ...]:
    """The units that the target's own file pulls in."""
    pairs = (text.partition("=") for _, text, _ in logical(file))
    return tuple(
        name
        for key, equals, value in pairs
        if equals and key.strip(SYSTEMD_BLANKS) in _PULLS
        for name in split_words(value)
    )


def _by_argument(readings: HostView) -> list[tuple[ConfigLine, str]]:
    """The boots of which the next one is one: their line, and the target that its arguments name,
    empty without one.

    Of a menu, the entry counts that the boot loader takes: others are for repairs; and what kernels
    installed later have. Files of /boot that cannot be read say nothing here; requirements about
    arguments report them.
    """
    every: Sequence[Boot] = ()
    with suppress(Unreadable):
        every = boot_loader.to_come(readings)
    first = boot_loader.may_be_next(readings) if every else ()
    paths = (boot_loader.INSTALL, *_defaults(readings))
    later = [(b.source, _target(b)) for b in every if b.source.path in paths]
    named = next(((source, target) for source, target in later if target), None)
    boots = [(boot.source, _target(boot)) for boot in first]
    found = [(source, target) if target or not named else named for source, target in boots]
    return found or [named or (ConfigLine(DEFAULT, 0, ""), "")]


def _defaults(readings: HostView) -> list[str]:
    return [file.path for file in readings.files(*boot_loader.DEFAULTS)]


def _target(boot: Boot) -> str:
    """The last argument counts; empty without one."""
    found = ""
    for name, value in boot.arguments:
        if name == "systemd.unit" and value:
            found = value
        elif value is None and name in _WORDS:
            found = _WORDS[name]
    return found

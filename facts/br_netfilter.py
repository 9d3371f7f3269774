"""A kernel module: whether it is loaded now, and whether systemd-modules-load loads it at boot.

Sources: proc_modules(5); modules-load.d(5) and systemd's src/modules-load; modprobe.d(5) and
kmod's libkmod-config.c; the kernel's admin-guide/kernel-parameters (module_blacklist).

How systemd-modules-load treats a name: an `alias` line may resolve it to another module, a
`blacklist` line drops it, and the command of the first matching `install` line runs instead of
loading it. For the module's dependencies, only `install` lines and the kernel's own
module_blacklist count.
"""

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from msgspec import Struct
from msgspec.structs import replace

from facts.parsers import (
    boot_commands,
    boot_files,
    boot_loader,
    boot_writes,
    conf_dirs,
    sysctl_writers,
    systemd_units,
    unit_settings,
)
from facts.parsers.blanks import BLANKS, split_words
from facts.parsers.kernel_cmdline import same_name
from hale.inventory.ini import Host
from hale.model.evidence import (
    CommandProbe,
    ConfigLine,
    File,
    FileProbe,
    HostView,
    NotApplicable,
    Probe,
    Unreadable,
)
from hale.model.requirement import Case

NAMED = conf_dirs.patterns("modules-load.d")
RULES = conf_dirs.patterns("modprobe.d")
# Their folders that a site writes into.
LOADED_FROM = ("/etc/modules-load.d/", "/usr/lib/modules-load.d/")
RULES_OF_SITE = "/etc/modprobe.d/"
# Debian's list; read at boot only through its link in modules-load.d.
OLD_FILE = "/etc/modules"
SERVICE = "systemd-modules-load.service"
PROGRAM = "systemd-modules-load"
LOADED = "/proc/modules"
ROOT = "/proc/sys"


class BrNetfilterParameters(Struct, frozen=True):
    """The module, its dependencies, a path that exists once it works, and the file of
    modules-load.d in which the baseline names it.

    traffic: what loading it does to traffic. mode: kube-proxy's; needed_by: the modes of kube-proxy
    that need the module, empty for any.
    """

    module: str
    needs: tuple[str, ...] = ()
    shows: str = ""
    file: str = ""
    traffic: str = ""
    mode: str = ""
    needed_by: tuple[str, ...] = ()


class BrNetfilterRuntime(Struct, frozen=True):
    """Whether the kernel has the module now; how: the evidence for that, in words.

    modular: the kernel can load modules. state: of a module that is being loaded or unloaded.
    """

    module: str
    present: bool
    how: str
    sources: tuple[ConfigLine, ...] = ()
    modular: bool = True
    state: str = ""

    @property
    def actual(self) -> str:
        return f"{self.module} {self.how}"


class Rule(Struct, frozen=True):
    """A line of modprobe.d that keeps the module from being loaded.

    file: the file that contains the line, links resolved; lines: that file's lines; pattern: the
    line matches other modules too.
    """

    source: ConfigLine
    file: str
    lines: tuple[str, ...]
    pattern: bool


class BrNetfilterPersisted(Struct, frozen=True):
    """The lines that load the module at boot, and those that prevent it.

    rules: those of `blocked` that are lines of modprobe.d; place: the file to add the name to.
    """

    module: str
    named: tuple[ConfigLine, ...]
    blocked: tuple[ConfigLine, ...]
    hint: str = ""
    rules: tuple[Rule, ...] = ()
    place: str | None = None

    @property
    def sources(self) -> tuple[ConfigLine, ...]:
        """The deciding line first: a blocking line wins over one that names the module."""
        if self.blocked:
            return (replace(self.blocked[0], wins=True), *self.blocked[1:], *self.named)
        return tuple(replace(s, wins=n == 0) for n, s in enumerate(self.named))

    @property
    def actual(self) -> str:
        if self.named:
            text = f"{self.named[0]} names {self.module}"
        else:
            text = f"no line of modules-load.d names {self.module}"
        blocks = [f"{source} {source.note}" for source in self.blocked]
        if blocks and self.named:
            text += ", but " + ", and ".join(blocks)
        elif blocks:
            text += "; " + "; ".join(blocks)
        return f"{text}; {self.hint}" if self.hint else text


def probes(host: Host, cases: Sequence[Case[BrNetfilterParameters]]) -> tuple[Probe, ...]:
    """The kernel's list of modules, and all files that affect loading at boot."""
    modules = [case.parameters.module for case in cases]
    shown = [case.parameters.shows for case in cases if case.parameters.shows]
    return (
        FileProbe(
            LOADED,
            ROOT,
            *(_sysfs(module) for module in modules),
            *shown,
            *NAMED,
            OLD_FILE,
            *RULES,
            *unit_settings.START_FILES,
            *unit_settings.patterns(SERVICE),
        ),
        boot_files.PROBE,
        *boot_commands.probes(cases),
        # What a boot runs later, and whether it names the module.
        sysctl_writers.probe([_either(module) for module in modules], plain=False),
        # The modules built into this kernel; without that file they are unknown.
        CommandProbe(
            "builtin",
            "read -r release </proc/sys/kernel/osrelease || exit\n"
            'l=/lib/modules/$release/modules.builtin; [ -e "$l" ] || { echo no list; exit; }\n'
            f"grep -E '/({'|'.join(map(_either, modules))})[.]ko' \"$l\" || [ $? -eq 1 ]",
        ),
    )


def read_runtime(readings: HostView, case: Case[BrNetfilterParameters]) -> BrNetfilterRuntime:
    """Whether it is loaded or built in. Raises Unreadable where /proc is not readable, and
    NotApplicable where kube-proxy works without it."""
    _require_mode(case.parameters)
    module, shows = case.parameters.module, case.parameters.shows
    state = _state(readings, module)
    if state == "Live":
        return BrNetfilterRuntime(module, True, f"is loaded ({LOADED})")
    if state:
        how = f"is neither loaded nor gone: {LOADED} says {state}"
        return BrNetfilterRuntime(module, False, how, state=state)
    if readings.file(_sysfs(module)):
        return BrNetfilterRuntime(
            module, True, f"is built into the kernel ({_sysfs(module)} exists)"
        )
    if shows and readings.file(shows):
        return BrNetfilterRuntime(module, True, f"is built into the kernel ({shows} exists)")
    if readings.file(ROOT) is None:
        raise Unreadable(f"{ROOT} does not exist: is /proc mounted?")
    builtin = readings.output("builtin").lines
    for line in builtin:
        if same_name(line.rpartition("/")[2].partition(".ko")[0], module):
            return BrNetfilterRuntime(
                module, True, f"is built into the kernel (modules.builtin: {line})"
            )
    modular = readings.file(LOADED) is not None
    if not modular and not shows and builtin == ["no list"]:
        raise Unreadable(
            f"whether the kernel has {module} built in: it loads no modules, and there is no "
            "modules.builtin of it in /lib/modules (`nft list tables` and the like show whether it "
            "works)"
        )
    return BrNetfilterRuntime(
        module, False, "is neither loaded nor built into the kernel", modular=modular
    )


def _require_mode(wanted: BrNetfilterParameters) -> None:
    """Raises NotApplicable where kube-proxy works without the module."""
    if wanted.needed_by and wanted.mode not in wanted.needed_by:
        modes = " and ".join(wanted.needed_by)
        raise NotApplicable(
            f"kube-proxy's mode is {wanted.mode}, and {wanted.module} is for {modes}"
        )


def _state(readings: HostView, module: str) -> str:
    """Live, Loading or Unloading; empty for a module that the kernel does not list."""
    file = readings.file(LOADED)
    for line in file.lines if file else ():  # no such file: a kernel without loadable modules
        fields = split_words(line)
        if fields and same_name(fields[0], module):
            return fields[4] if len(fields) > 4 else "nothing of its state"
    return ""


@boot_files.kept_by_boot
def read_persisted(readings: HostView, case: Case[BrNetfilterParameters]) -> BrNetfilterPersisted:
    """Whether a boot loads it, by files and the boot loader's arguments. Raises Unreadable
    where they are not readable, and NotApplicable where kube-proxy works without it."""
    _require_mode(case.parameters)
    module, needs = case.parameters.module, case.parameters.needs
    found = readings.files(*NAMED)
    boots = boot_loader.to_come(readings)
    named = [
        *_naming(conf_dirs.effective(conf_dirs.persistent(found)), module),
        *_naming_arguments(boots, module),
    ]
    hint = "" if named else _hint(readings, conf_dirs.effective(found), module)
    files = readings.files(*RULES)
    lines = _blocking(files, module, needs)
    blocking = [*_not_started(readings), *lines, *_blocking_arguments(boots, module, needs)]
    try:
        blocking += _unloading(readings, module)
        if named and not blocking:
            _refuse_writes(readings, module, [replace(line, wins=True) for line in named])
    except Unreadable:
        if named and not blocking:
            raise
    return BrNetfilterPersisted(
        module,
        tuple(named),
        tuple(blocking),
        hint,
        tuple(_rule(files, source) for source in lines),
        conf_dirs.writable_location(found, case.parameters.file),
    )


def _rule(files: Sequence[File], source: ConfigLine) -> Rule:
    file = next(f for f in files if f.path == source.path)
    name = re.split("[ \t]+", source.text)[1]
    return Rule(source, conf_dirs.leads_to(file), file.lines, any(c in name for c in "*?["))


def _naming(files: Sequence[File], module: str) -> Iterator[ConfigLine]:
    """Lines that consist of the module's name alone."""
    for file in files:
        for count, raw in enumerate(file.lines, 1):
            for line in raw.split("\r"):  # systemd ends a line at a carriage return too
                if same_name(line.strip(" \t"), module):
                    yield ConfigLine(file.path, count, raw.strip(BLANKS), changed=file.changed)


def _hint(readings: HostView, files: Sequence[File], module: str) -> str:
    """An explanation for lines that only appear to load it; empty without one."""
    for file in files:
        for count, line in enumerate(file.lines, 1):
            words = split_words(line)
            if conf_dirs.volatile(file.path) and words and same_name(words[0], module):
                return f"{file.path}:{count} does, but a boot empties /run"
            if len(words) > 1 and same_name(words[0], module):
                return f"{file.path}:{count} does not: only the name may stand in a line"
    old = readings.file(OLD_FILE)
    if old and old.kind == "f" and not any(conf_dirs.leads_to(f) == OLD_FILE for f in files):
        for source in _naming([old], module):
            return f"{source} does, but no link in modules-load.d leads there: no boot reads it"
    return ""


def _not_started(readings: HostView) -> Iterator[ConfigLine]:
    """Why a boot does not run the service with all files. Raises Unreadable."""
    if mask := systemd_units.mask(readings, SERVICE):
        yield ConfigLine(
            mask.path, 0, "-> /dev/null", changed=mask.changed, note=f"masks {SERVICE}"
        )
        return
    start = unit_settings.start_of(readings, SERVICE, PROGRAM)
    if start.problem:
        yield start.blocking_line(SERVICE)
    if start.arguments:
        raise Unreadable(
            f"{start.line} has {SERVICE} read only {' '.join(start.arguments)} "
            f"(`systemctl cat {SERVICE}`)"
        )


def _unloading(readings: HostView, module: str) -> Iterator[ConfigLine]:
    """Lines of what a boot runs later that unload it again."""
    name = _either(module)
    unload = re.compile(
        rf"\b(?:rmmod|modprobe\s(?:.*\s)?(?:-\w*r\w*|--remove))\s(?:.*\s)?{name}(?![\w-])", re.ASCII
    )
    for source in sysctl_writers.lines(readings):
        if unload.search(source.text):
            yield replace(source, note="unloads it again")


def _refuse_writes(readings: HostView, module: str, named: Sequence[ConfigLine]) -> None:
    """Raises Unreadable where a command of a boot may write the files that load it, or a rule."""
    words = [module.replace("_", "-"), _plain(module), *(line.text.lower() for line in named)]
    found = readings.files(*NAMED)
    old = [OLD_FILE] if any(conf_dirs.leads_to(f) == OLD_FILE for f in found) else []
    targets = (*LOADED_FROM, *old, RULES_OF_SITE)
    boot_writes.refuse(readings, targets, boot_writes.Interest(words, named))


def _blocking(files: Sequence[File], module: str, needs: Sequence[str]) -> list[ConfigLine]:
    """Rules of modprobe.d that prevent loading, with and without the files in /run."""
    able = [f for f in files if f.kind == "f" or f.masked]
    found: dict[str, ConfigLine] = {}
    for read in (conf_dirs.effective(able), conf_dirs.effective(conf_dirs.persistent(able))):
        for source in _rules(read, module, needs):
            found.setdefault(str(source), source)
    return list(found.values())


def _rules(files: Sequence[File], module: str, needs: Sequence[str]) -> Iterator[ConfigLine]:
    installed: set[str] = set()
    for source, words in _commands(files):
        command, name, rest = words[0], words[1].replace("-", "_"), words[2:]
        if command == "blacklist" and name == _plain(module):
            yield replace(source, note="blacklists it")
        elif command == "alias" and rest and fnmatchcase(_plain(module), name):
            if not same_name(rest[0], module):
                yield replace(source, note=f"makes the name one for {rest[0]}")
        elif command == "install" and rest:
            for wanted in (module, *needs):
                if wanted in installed or not fnmatchcase(_plain(wanted), name):
                    continue
                installed.add(wanted)  # only the first line that matches a module counts
                if not _loads(" ".join(rest), wanted):
                    needed = "" if wanted == module else f", which {module} needs"
                    yield replace(
                        source, note=f"runs a command instead of loading {wanted}{needed}"
                    )


def _commands(files: Sequence[File]) -> Iterator[tuple[ConfigLine, list[str]]]:
    """The lines of modprobe.d with at least two words; a trailing backslash joins lines.

    A carriage return is part of a word, as in kmod.
    """
    for file in files:
        text, first = "", 0
        for count, line in enumerate(file.lines, 1):
            first = first or count
            if line.endswith("\\"):
                text += line[:-1]
                continue
            words = [w for w in re.split("[ \t]+", text + line) if w]
            if len(words) > 1 and not (text + line).startswith("#"):
                yield (
                    ConfigLine(file.path, first, (text + line).strip(BLANKS), changed=file.changed),
                    words,
                )
            text, first = "", 0


def _loads(command: str, module: str) -> bool:
    """Whether the command of an `install` line loads the module itself."""
    return any(
        re.search(r"(^|/|\s)modprobe\s", part, re.ASCII)
        and re.search(r"\s(--ignore-install|-i)\s", part, re.ASCII)
        and any(same_name(word, module) for word in split_words(part))
        for part in re.split(r"[;&|]+", command)
    )


def _arguments(boot: boot_loader.Boot) -> Iterator[tuple[ConfigLine, str, str]]:
    for name, value in boot.arguments:
        if value is not None:
            yield replace(boot.source, text=f"{name}={value}"), name, value


def _naming_arguments(boots: Sequence[boot_loader.Boot], module: str) -> list[ConfigLine]:
    """The arguments that name it; none where one of the boots to come lacks them."""
    found = [
        [
            source
            for source, name, value in _arguments(boot)
            if same_name(name, "modules_load")
            and any(same_name(v, module) for v in value.split(","))
        ]
        for boot in boots
    ]
    return [source for sources in found for source in sources] if all(found) else []


def _blocking_arguments(
    boots: Sequence[boot_loader.Boot], module: str, needs: Sequence[str]
) -> Iterator[ConfigLine]:
    for source, name, value in (found for boot in boots for found in _arguments(boot)):
        if name == "modprobe.blacklist":
            hit = [module]
        elif name == "module_blacklist":
            hit = [module, *needs]
        else:
            continue
        for wanted in hit:
            if any(same_name(v, wanted) for v in value.split(",")):
                yield replace(source, note=f"blacklists {wanted} (kernel argument {name})")


def _plain(module: str) -> str:
    return module.replace("-", "_")


def _either(module: str) -> str:
    """A regular expression for both spellings of the name."""
    return "[-_]".join(re.escape(part) for part in re.split("[-_]", module))


def _sysfs(module: str) -> str:
    return f"/sys/module/{_plain(module)}"

"""The kernel arguments of future boots, as far as the boot loader's files determine them.

Sources: the Boot Loader Specification (loader/entries/*.conf); GRUB's manual, grub.cfg, `default`,
grub-reboot and /etc/default/grub; Red Hat's GRUB, grub-core/commands/blscfg.c (entries are sorted
by file name, as a package's name, version and release, the newest first); rpm's rpmvercmp;
systemd-boot(7); kernel-install(8), /etc/kernel/cmdline.
"""

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cmp_to_key
from itertools import pairwise, zip_longest

from msgspec import Struct

from facts.parsers import kernel_cmdline
from facts.parsers.blanks import BLANKS, is_decimal, split_words
from hale.model import budgets
from hale.model.evidence import Allowance, ConfigLine, File, HostView, Selection, Unreadable, select

# Those of GRUB's blscfg; systemd-boot has entries in all three.
GRUBS_ENTRIES = "/boot/loader/entries/*.conf"
ENTRIES = (
    GRUBS_ENTRIES,
    "/boot/efi/loader/entries/*.conf",
    "/efi/loader/entries/*.conf",
)
MENUS = (
    "/boot/grub2/grub.cfg",
    "/boot/grub/grub.cfg",
    "/boot/efi/EFI/*/grub.cfg",
)
VARIABLES = ("/boot/grub2/grubenv", "/boot/grub/grubenv", "/boot/efi/EFI/*/grubenv")
# Sources of the arguments of a kernel that is installed later.
DEFAULTS = ("/etc/default/grub", "/etc/default/grub.d/*.cfg")
INSTALL = "/etc/kernel/cmdline"
_DEEPEST = 8
# Other lines of a menu may hold GRUB's passwords.
PATTERNS = (
    *select(Selection("[[:space:]]*(options|title)[[:space:]]"), *ENTRIES),
    *select(
        Selection(
            "[[:space:]]*(linux|(menuentry|submenu)[[:space:]]|set[[:space:]]+default=|blscfg|[}])"
        ),
        *MENUS,
    ),
    *select(Selection("[[:space:]]*(export[[:space:]]+)?GRUB_CMDLINE_LINUX"), *DEFAULTS),
    *VARIABLES,
    INSTALL,
    kernel_cmdline.PATH,
)


class Boot(Struct, frozen=True):
    """A kernel command line, and the line of a file that contains it."""

    source: ConfigLine
    arguments: tuple[tuple[str, str | None], ...]

    def last(self, name: str) -> str | None:
        """The value of the last argument of that name; None without one."""
        return next((v or "" for n, v in reversed(self.arguments) if n == name), None)

    def first(self, name: str) -> str | None:
        """As `last`, for programs that use the first one."""
        return next((v or "" for n, v in self.arguments if n == name), None)


def present(readings: HostView) -> Boot:
    """The arguments of the current boot. Raises Unreadable without /proc."""
    file = readings.file(kernel_cmdline.PATH)
    if file is None:
        raise Unreadable(f"{kernel_cmdline.PATH} does not exist: is /proc mounted?")
    text = " ".join(file.lines)
    return _boot(ConfigLine(file.path, 1, text, changed=file.changed), text)


def to_come(readings: HostView) -> list[Boot]:
    """Every command line of the boot loader, and those of kernels installed later.

    The current boot's where no file of a boot loader has any. Raises Unreadable where variables
    expand to more than a boot loader could pass on.
    """
    allowance = Allowance(budgets.EXPANSION_CHARACTERS, "characters of the boot loader's variables")
    variables = _variables(readings)
    found = [
        *_entries(readings.files(*ENTRIES), variables, allowance),
        *_menus(readings.files(*MENUS), variables, allowance),
    ]
    if not found:
        found = [present(readings)]
    return [*found, *_later(readings, allowance)]


def may_be_next(readings: HostView) -> list[Boot]:
    """The command lines of which the next boot has one: a single one where its choice is known.

    Those of kernels installed later are left out. What systemd-boot's loader.conf and its variables
    choose is not read: its entries may all be next.
    """
    every = to_come(readings)
    files = readings.files(*ENTRIES)
    at = {(boot.source.path, boot.source.line): boot for boot in every}
    of_entry = {boot.source.path: boot for boot in every}
    entries = [
        _Item(_names_of(file), boots=(of_entry[file.path],))
        for file in files
        if file.path in of_entry
    ]
    ours = {file.path for file in readings.files(GRUBS_ENTRIES)}
    grubs = sorted(
        (item for item in entries if item.boots[0].source.path in ours), key=_age, reverse=True
    )
    others = [item for item in entries if item.boots[0].source.path not in ours]
    menus = [_menu(file, at) for file in readings.files(*MENUS) if file.kind == "f"]
    variables = _variables(readings)
    chosen: list[Boot] = []
    if grubs and not any(menu.entries for menu in menus):
        if menus or readings.files(*VARIABLES):
            menus.append(_Menu((), entries=True))
        else:
            others = [*grubs, *others]
    for menu in menus:
        listed = [*(grubs if menu.entries else ()), *menu.items]
        default = _expand(menu.default, lambda name: variables.get(name, ""))
        for wanted in dict.fromkeys((variables.get("next_entry") or default, default)):
            chosen += _picked(listed, wanted)
    chosen += [boot for item in others if not _is_rescue(item) for boot in item.boots]
    later = (INSTALL, *(file.path for file in readings.files(*DEFAULTS)))
    return chosen or [boot for boot in every if boot.source.path not in later]


class _Item(Struct, frozen=True):
    """An entry of a menu, or a submenu. names: what `default` may call it, the id first."""

    names: tuple[str, ...]
    boots: tuple[Boot, ...] = ()
    items: "tuple[_Item, ...]" = ()


class _Menu(Struct, frozen=True):
    """What a grub.cfg has; entries: those of GRUBS_ENTRIES come before its own."""

    items: tuple[_Item, ...]
    default: str = "$saved_entry"
    entries: bool = False


def _names_of(file: File) -> tuple[str, ...]:
    """An entry's file name without `.conf`, and its title."""
    titles = [split_words(line, 1)[1:] for line in file.lines if split_words(line)[:1] == ["title"]]
    name = file.path.rpartition("/")[2].removesuffix(".conf")
    return (name, *(title for words in titles for title in words))


def _is_rescue(item: _Item) -> bool:
    return "-0-rescue" in item.names[0]


def _menu(file: File, at: Mapping[tuple[str, int], Boot]) -> _Menu:
    """The entries of a grub.cfg; of several `set default=`, the first is no fallback."""
    open_: list[tuple[tuple[str, ...], list[Boot], list[_Item]]] = [((), [], [])]
    default, entries = "", False
    for count, line in enumerate(file.lines, 1):
        text = line.strip(BLANKS)
        if re.match(r"(menuentry|submenu)\s", text, re.ASCII):
            if len(open_) > _DEEPEST:
                raise Unreadable(f"{file.path}:{count}: more than {_DEEPEST} menus in each other")
            if not text.endswith("}"):
                open_.append((_titles(text), [], []))
        elif text.startswith("}"):
            if len(open_) > 1:
                names, boots, items = open_.pop()
                open_[-1][2].append(_Item(names, tuple(boots), tuple(items)))
        elif split_words(text)[:1] == ["blscfg"]:
            entries = True
        elif found := re.match(r"set\s+default=[\"']?([^\"']*)", text, re.ASCII):
            if not default and "next_entry" not in found[1]:
                default = found[1]
        elif boot := at.get((file.path, count)):
            if len(open_) == 1:
                open_[0][2].append(_Item((), (boot,)))
            else:
                open_[-1][1].append(boot)
    return _Menu(tuple(open_[0][2]), default or "$saved_entry", entries)


def _titles(text: str) -> tuple[str, ...]:
    """The id and the title of `menuentry 'title' … $menuentry_id_option 'id' {`."""
    try:
        words = shlex.split(text)
    except ValueError:
        return ()
    options = ("--id", "$menuentry_id_option", "${menuentry_id_option}")
    ids = [after for word, after in pairwise(words) if word in options]
    return (*ids, *words[1:2])


def _picked(items: Sequence[_Item], wanted: str) -> list[Boot]:
    """The entry that `default` names: an id, a title or a number, `>` before one of a submenu.

    The first one where it names none. All boots of the entries where it has no command line, or
    where the first one is a rescue entry among others: not all releases of GRUB sort them alike.
    """
    if not items:
        return []
    name, _, rest = wanted.partition(">")
    named = [item for item in items if name in item.names]
    if not named and is_decimal(name) and len(name) < 5 and int(name) < len(items):
        named = [items[int(name)]]
    item = (named or items)[0]
    if item.items:
        return _picked(item.items, rest)
    doubtful = not named and item.names and _is_rescue(item)
    if item.boots and not doubtful:
        return [item.boots[0]]
    return list(_boots(items))


def _boots(items: Sequence[_Item]) -> Iterator[Boot]:
    for item in items:
        yield from item.boots
        yield from _boots(item.items)


def _compared(a: _Item, b: _Item) -> int:
    """Below 0 where GRUB's blscfg takes the entry a for older than b."""
    for one, other in zip(_package(a.names[0]), _package(b.names[0]), strict=True):
        if compared := _compared_versions(one, other):
            return compared
    return 0


_age = cmp_to_key(_compared)


def _package(text: str) -> tuple[str, str, str]:
    """Name, version and release; one without a release has a version."""
    parts = [*text.rsplit("-", 2), "", ""]
    return parts[0], parts[1], parts[2]


def _compared_versions(a: str, b: str) -> int:
    """rpmvercmp: digits are newer than letters, and what is left over is newer, but for `~`."""
    parts = (re.findall(r"[0-9]+|[A-Za-z]+|~", text) for text in (a, b))
    for one, other in zip_longest(*parts, fillvalue=""):
        keys = [
            (-1, 0, "")
            if part == "~"
            else (1, 0, part)
            if part.isalpha()
            else (2, int(part), "")
            if part
            else (0, 0, "")
            for part in (one, other)
        ]
        if keys[0] != keys[1]:
            return -1 if keys[0] < keys[1] else 1
    return 0


def _variables(readings: HostView) -> dict[str, str]:
    """Those of grubenv."""
    return {
        name: value
        for file in readings.files(*VARIABLES)
        if file.kind == "f"
        for name, equals, value in (line.partition("=") for line in file.lines)
        if equals and not name.startswith("#")
    }


def _entries(
    files: Sequence[File], variables: dict[str, str], allowance: Allowance
) -> Iterator[Boot]:
    """The `options` of each entry; several lines of one entry are joined."""
    for file in files:
        if file.kind != "f":
            continue
        lines = [(n, line.strip(BLANKS)) for n, line in enumerate(file.lines, 1)]
        options = [(n, line) for n, line in lines if re.match(r"options\s", line, re.ASCII)]
        if options:
            text = " ".join(split_words(line, 1)[1] for _, line in options)
            source = ConfigLine(file.path, options[0][0], options[0][1], changed=file.changed)
            yield _boot(source, _expanded(text, variables, allowance, source))


def _menus(
    files: Sequence[File], variables: dict[str, str], allowance: Allowance
) -> Iterator[Boot]:
    """The `linux` lines of grub.cfg, without memory tests."""
    for file in files:
        for count, line in enumerate(file.lines if file.kind == "f" else (), 1):
            found = re.match(r"\s*linux(?:16|efi)?\s+(\S+)(.*)", line, re.ASCII)
            if found and "memtest" not in found[1]:
                source = ConfigLine(file.path, count, line.strip(BLANKS), changed=file.changed)
                yield _boot(source, _expanded(found[2], variables, allowance, source))


def _later(readings: HostView, allowance: Allowance) -> Iterator[Boot]:
    """The arguments of kernels installed later: GRUB's defaults, and kernel-install's file."""
    assigned: dict[str, tuple[ConfigLine, str]] = {}
    for file in readings.files(*DEFAULTS):
        for count, line in enumerate(file.lines if file.kind == "f" else (), 1):
            found = re.match(
                r"\s*(?:export\s+)?(GRUB_CMDLINE_LINUX(?:_DEFAULT)?)(\+?=)(.*)", line, re.ASCII
            )
            if not found:
                continue
            source = ConfigLine(file.path, count, line.strip(BLANKS), changed=file.changed)
            before = assigned.get(found[1], (source, ""))[1]
            value = _unquoted(found[3])
            allowance.spend(len(before) * (value.count(f"${found[1]}") + 1), source)
            value = value.replace(f"${found[1]}", before)
            assigned[found[1]] = source, f"{before} {value}" if found[2] == "+=" else value
    if assigned:
        source = assigned.get("GRUB_CMDLINE_LINUX", next(iter(assigned.values())))[0]
        names = ("GRUB_CMDLINE_LINUX", "GRUB_CMDLINE_LINUX_DEFAULT")
        yield _boot(source, " ".join(assigned[name][1] for name in names if name in assigned))
    file_ = readings.file(INSTALL)
    if file_ is not None and file_.kind == "f":
        text = " ".join(file_.lines)
        yield _boot(ConfigLine(file_.path, 1, text, changed=file_.changed), text)


def _unquoted(text: str) -> str:
    try:
        return " ".join(shlex.split(text, comments=True))
    except ValueError:
        return text


def _expanded(
    text: str, variables: dict[str, str], allowance: Allowance, source: ConfigLine
) -> str:
    """With `$kernelopts` and other variables replaced from grubenv."""

    def value(name: str) -> str:
        expanded = variables.get(name, "")
        allowance.spend(len(expanded), source)
        return expanded

    return _expand(text, value)


def _expand(text: str, value: Callable[[str], str]) -> str:
    return re.sub(r"\$\{?(\w+)\}?", lambda found: value(found[1]), text, flags=re.ASCII)


def _boot(source: ConfigLine, text: str) -> Boot:
    return Boot(source, tuple(kernel_cmdline.arguments(text)))

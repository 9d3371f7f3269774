"""The kernel arguments of future boots, as far as the boot loader's files determine them.

Sources: the Boot Loader Specification (loader/entries/*.conf); GRUB's manual, grub.cfg and
/etc/default/grub; kernel-install(8), /etc/kernel/cmdline.
"""

import re
import shlex
from collections.abc import Iterator, Sequence

from msgspec import Struct

from facts.parsers import kernel_cmdline
from facts.parsers.blanks import BLANKS, split_words
from hale.model import budgets
from hale.model.evidence import Allowance, ConfigLine, File, HostView, Selection, Unreadable, select

ENTRIES = (
    "/boot/loader/entries/*.conf",
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
# Other lines of a menu may hold GRUB's passwords.
PATTERNS = (
    *select(Selection("[[:space:]]*options[[:space:]]"), *ENTRIES),
    *select(Selection("[[:space:]]*linux"), *MENUS),
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
    variables = {
        name: value
        for file in readings.files(*VARIABLES)
        if file.kind == "f"
        for name, equals, value in (line.partition("=") for line in file.lines)
        if equals and not name.startswith("#")
    }
    found = [
        *_entries(readings.files(*ENTRIES), variables, allowance),
        *_menus(readings.files(*MENUS), variables, allowance),
    ]
    if not found:
        found = [present(readings)]
    return [*found, *_later(readings, allowance)]


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

    def value(found: re.Match[str]) -> str:
        expanded = variables.get(found[1], "")
        allowance.spend(len(expanded), source)
        return expanded

    return re.sub(r"\$\{?(\w+)\}?", value, text, flags=re.ASCII)


def _boot(source: ConfigLine, text: str) -> Boot:
    return Boot(source, tuple(kernel_cmdline.arguments(text)))

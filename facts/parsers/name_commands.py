"""Commands and kernel parameters by which a boot names the host after systemd has. Not a subject.

Sources: hostname(1); hostnamectl(1) (`--transient` alone does not replace a static name); nmcli(1),
`general hostname`; proc_sys_kernel(5), hostname; sysctl.d(5).
"""

import re
from collections.abc import Iterator, Sequence

from msgspec import Struct

from facts.parsers import boot_commands, boot_writes, conf_dirs
from facts.parsers.ip_command import commands, program_at
from facts.parsers.sysctl_table import table_of, writes_of
from hale.model.evidence import ConfigLine, HostView

STATIC = "/etc/hostname"
PARAMETERS = conf_dirs.patterns("sysctl.d")
KEY = "kernel/hostname"
_COMMAND = "(^|[^A-Za-z0-9_.-])(hostname|hostnamectl)[ \t]"
_KERNEL = re.compile(r"kernel[./]hostname[\"']?[ \t]*=[ \t]*[\"']?([^\s\"';]+)", re.ASCII)
_ECHOED = re.compile(
    r"(?:echo|printf)[ \t]+(?:-n[ \t]+)?[\"']?([\w.-]+)[\"']?[ \t]*>"
    r"[ \t]*/proc/sys/kernel/hostname",
    re.ASCII,
)
_PATTERN = f"{_COMMAND}|kernel[./]hostname|{boot_writes.pattern(STATIC)}"
_ITS_OWN = re.compile(
    r"hostname[ \t]+[\"']?(\$\(|`)(cat|<)[ \t]*/etc/hostname|hostname[ \t]+(-F|--file)"
)
# What follows a variable called hostname in a program of Python.
_OF_PYTHON = ("in", "not", "is", "and", "or", "if", "else", "for", "import", "as")


class Naming(Struct, frozen=True):
    """A line that names the host.

    name: None where it is not written out. certain: a boot runs it.
    """

    source: ConfigLine
    name: str | None
    certain: bool


def by_parameter(readings: HostView) -> Naming | None:
    """The line of sysctl.d by which systemd-sysctl names the host."""
    files = conf_dirs.effective(conf_dirs.persistent(readings.files(*PARAMETERS)))
    found = list(writes_of(table_of(files)[0], [KEY]))
    return Naming(found[-1][0], found[-1][1], True) if found else None


def by_command(readings: HostView) -> Iterator[Naming]:
    """Commands of a boot that name the host. Raises Unreadable."""
    for command in boot_commands.commands(readings, _PATTERN):
        for name in _names(command.text):
            yield Naming(command.source, name, command.certain and name is not None)


def _names(text: str) -> Iterator[str | None]:
    if found := _KERNEL.search(text) or _ECHOED.search(text):
        yield _literal(found[1])
        return
    if re.search(r">[ \t]*/proc/sys/kernel/hostname", text):
        yield None
        return
    if _ITS_OWN.search(text):
        return
    for words in commands(text):
        for program, given in (("hostname", _of_hostname), ("hostnamectl", _of_hostnamectl)):
            at = program_at(words, program)
            if at >= 0 and (name := given(words[at + 1 :])):
                yield _literal(name)


def _literal(name: str) -> str | None:
    return name if re.fullmatch(r"[A-Za-z0-9.-]+", name) else None


def _of_hostname(words: Sequence[str]) -> str:
    """The name in `hostname NAME`; empty where it only shows one, or has it from a file."""
    if not words or words[0].startswith(("-", "=", ":", "!", "+")) or words[0] in _OF_PYTHON:
        return ""
    return words[0]


def _of_hostnamectl(words: Sequence[str]) -> str:
    plain = [word for word in words if not word.startswith("-")]
    if len(plain) < 2 or plain[0] not in ("set-hostname", "hostname"):
        return ""
    options = [word for word in words if word.startswith("-")]
    kinds = [o for o in options if o in ("--transient", "--pretty", "--static")]
    return "" if kinds and "--static" not in kinds else plain[1]

"""The PAM modules that a login calls, according to the files of pam.d.

Sources: pam.conf(5), pam.d(5); sshd_config(5), UsePAM; sshd(8), `-o`, `-f`. A module that a jump
(`[success=1 …]`) or the end of a stack (`sufficient`, `[success=done …]`) may leave out is
Unreadable.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from msgspec import Struct

from facts.parsers import unit_settings
from facts.parsers.blanks import BLANKS, split_words
from hale.model import budgets
from hale.model.evidence import (
    Allowance,
    ConfigLine,
    File,
    HostView,
    Selection,
    Unreadable,
    select,
)

PATTERNS = ("/etc/pam.d/*", "/usr/lib/pam.d/*")
SSHD_PATTERNS = ("/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d/*.conf")
# What sshd is started with: options win over its file.
SSHD_UNITS = ("ssh.service", "sshd.service")
SSHD_OPTIONS = ("/etc/default/ssh", "/etc/sysconfig/sshd")
SSHD_START = (
    *select(Selection(r"[^#]*(SSHD_OPTS|OPTIONS)[[:space:]]*="), *SSHD_OPTIONS),
    *(p for unit in SSHD_UNITS for p in unit_settings.patterns(unit)),
)
_OPTION = re.compile(r"(?:^|[\s\"'=])-o[\s\"']*UsePAM[\s=\"']+(\w+)", re.ASCII | re.IGNORECASE)
_OTHER_FILE = re.compile(r"(?:^|[\s\"'=])-f[\s\"']*(/[^\s\"']+)", re.ASCII)
_JUMP = re.compile(r"=(\d{1,3})\b", re.ASCII)
_DONE = re.compile(r"=[ \t]*done\b", re.ASCII | re.IGNORECASE)
_INCLUDE = re.compile(r"@include\s+(\S+)", re.ASCII)
_LINE = re.compile(r"-?(\w+)\s+(\[[^\]]*\]|\S+)\s+(\S+)(.*)", re.ASCII)


class Call(Struct, frozen=True):
    """A line that calls a module, and its arguments."""

    source: ConfigLine
    arguments: tuple[str, ...]


def calls(readings: HostView, service: str, kind: str, module: str) -> list[Call]:
    """The calls of the module in the service's stack of that kind (`session`, …).

    Raises Unreadable where a file of the stack does not exist.
    """
    return list(_stack(readings.files(*PATTERNS), service, kind, module))


@lru_cache(maxsize=64)  # every requirement of limits calls it
def _stack(files: tuple[File, ...], service: str, kind: str, module: str) -> tuple[Call, ...]:
    allowance = Allowance(budgets.INCLUDES, "files of pam.d include each other")
    return tuple(_calls(files, service, kind, module, (), allowance, []))


def _calls(
    files: Sequence[File],
    service: str,
    kind: str,
    module: str,
    trail: tuple[str, ...],
    allowance: Allowance,
    ends: list[ConfigLine],
) -> Iterator[Call]:
    """ends: the lines that may have ended the stack before; those of this file are added."""
    name = service.rpartition("/")[2]
    allowance.spend(where=f"/etc/pam.d/{name}")
    if name in trail:
        raise Unreadable(f"pam.d: {' includes '.join((*trail, name))}")
    file = next((f for f in files if f.path.rpartition("/")[2] == name and f.kind == "f"), None)
    if file is None:
        raise Unreadable(f"/etc/pam.d/{name} is not there" + (f" for {trail[-1]}" if trail else ""))
    skipped = 0  # how many of the next modules a jump may leave out
    jump: ConfigLine | None = None
    for number, line in _lines(file):
        if included := _INCLUDE.fullmatch(line):
            yield from _calls(files, included[1], kind, module, (*trail, name), allowance, ends)
            continue
        found = _LINE.fullmatch(line)
        if not found or found[1].lower() != kind:
            continue
        skipped -= 1
        source = ConfigLine(file.path, number, line, changed=file.changed)
        jumps = [int(n) for n in _JUMP.findall(found[2])] if found[2].startswith("[") else []
        called = found[3].rpartition("/")[2] == module
        leaves_out = jump if skipped >= 0 else next(iter(ends), None)
        if called and leaves_out:
            raise Unreadable(
                f"{leaves_out} may leave {module} out of a login ({leaves_out.text}): whether it "
                "does depends on who logs in"
            )
        if jumps and max(jumps) > skipped:
            skipped = max(jumps)
            jump = source
        if found[2] in ("include", "substack"):
            # What ends a substack ends no more than that.
            inner = ends if found[2] == "include" else [*ends]
            yield from _calls(files, found[3], kind, module, (*trail, name), allowance, inner)
        elif called:
            yield Call(source, tuple(split_words(found[4])))
        if _ends_stack(found[2]):
            ends.append(source)


def _ends_stack(control: str) -> bool:
    """Whether no further module may be called after one with this control."""
    if control.startswith("[") and control.endswith("]"):
        return bool(_DONE.search(control))
    return control.lower() == "sufficient"


def _lines(file: File) -> Iterator[tuple[int, str]]:
    """Lines without comments, with their numbers; a trailing backslash joins lines."""
    text, first = "", 0
    for count, line in enumerate(file.lines, 1):
        first = first or count
        if line.endswith("\\"):
            text += line[:-1] + " "
            continue
        joined = (text + line).partition("#")[0].strip(BLANKS)
        if joined:
            yield first, joined
        text, first = "", 0


def sshd_without_pam(readings: HostView) -> str:
    """Why sshd does not use PAM; empty where it does. The first setting of a keyword counts.

    Raises Unreadable where there is no sshd_config.
    """
    if option := _by_option(readings):
        return option
    files = {file.path: file for file in readings.files(*SSHD_PATTERNS)}
    main = SSHD_PATTERNS[0]
    if main not in files:
        raise Unreadable(f"{main} is not there: how do people log in?")
    allowance = Allowance(budgets.INCLUDES, "files of sshd_config.d are included")
    setting = next(_use_pam(files, files[main], allowance), None)
    if setting is None:
        return f"{main} does not say `UsePAM yes`, and sshd's own default is no"
    source, value = setting
    return "" if value == "yes" else f"{source} says UsePAM {value}"


def _by_option(readings: HostView) -> str:
    """Why sshd's command line switches PAM off. Raises Unreadable where it names another file."""
    lines = [c.source for u in SSHD_UNITS for c in _commands(readings, u)]
    for file in readings.files(*SSHD_OPTIONS):
        lines += [s for s, _, _ in unit_settings.variables_of(file)] if file.kind == "f" else []
    for source in lines:
        if (found := _OPTION.search(source.text)) and found[1].lower() == "no":
            return f"{source} starts sshd with UsePAM {found[1]}"
        if found := _OTHER_FILE.search(source.text):
            raise Unreadable(f"{source} has sshd read {found[1]}, which is not read here")
    return ""


def _commands(readings: HostView, unit: str) -> list[unit_settings.CommandLine]:
    return unit_settings.commands(unit_settings.files(readings, unit))


def _use_pam(
    files: dict[str, File], file: File, allowance: Allowance
) -> Iterator[tuple[ConfigLine, str]]:
    for count, line in enumerate(file.lines, 1):
        if line.lstrip(BLANKS)[:1] in ("", "#"):  # nearly all lines
            continue
        words = re.split(r"[\s=]+", line.strip(BLANKS), maxsplit=1, flags=re.ASCII)
        keyword = words[0].lower()
        value = words[1].strip(BLANKS).strip('"') if len(words) > 1 else ""
        if keyword == "match":
            return
        if keyword == "usepam":
            yield ConfigLine(file.path, count, line.strip(BLANKS)), value.lower()
        elif keyword == "include" and file.path == SSHD_PATTERNS[0]:
            folder = SSHD_PATTERNS[1].rpartition("/")[0]
            if any(v.rpartition("/")[0] in (folder, "sshd_config.d") for v in split_words(value)):
                for path in sorted(p for p in files if p.startswith(f"{folder}/")):
                    allowance.spend(where=f"{file.path}:{count}")
                    yield from _use_pam(files, files[path], allowance)

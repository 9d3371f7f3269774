"""Lines that set a kernel parameter at boot after systemd-sysctl, outside of sysctl.d.

Not a subject. sysctl_writers.sh finds the files and the lines that name a parameter; here it is
judged which of them write it, and what. Orders among them are not known. What a variable or a loop
has the path of is taken for written, with an unknown value.

Sources: ufw's ufw-init-functions (IPT_SYSCTL); tuned-main.conf(5), tuned.conf (reapply_sysctl,
include); interfaces(5); wg-quick(8) (PreUp, PostUp); systemd.network(5), networkd.conf(5)
(IPv4Forwarding=, since 256); rc-local.service(8); crontab(5); udev(7) (RUN, SYSCTL);
cloud-init's module bootcmd.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from msgspec import Struct

from facts.parsers import (
    boot_commands,
    boot_writes,
    cloud_init,
    exec_resets,
    idle_interfaces,
    script_paths,
)
from facts.parsers.blanks import BLANKS, lowered, split_words
from facts.parsers.idle_interfaces import FileLine
from facts.parsers.unseen import UNSEEN
from hale.model.evidence import CommandProbe, ConfigLine, HostView
from hale.shell import load_script

NAME = "writers"
# The folder whose `install` lines are commands: modprobe.d(5).
MODULES = "/etc/modprobe.d/"
_SCRIPT = load_script(Path(__file__).with_suffix(".sh"))
# The first systemd-networkd whose IPv4Forwarding=no switches forwarding off.
NETWORKD_SINCE = 256
_FOUND = re.compile(r"(/[^:]*):([0-9]{1,9}):(.*)", re.DOTALL)
_NOT_AT_BOOT = re.compile(
    r"[#;]|(ExecStop|ExecStopPost|ExecReload|Description|Documentation)[ \t]*="
    r"|(down|post-down|pre-down)[ \t]|(PostDown|PreDown)[ \t]*="
)
_NETWORKD = re.compile(r"IPv4Forwarding[ \t]*=[ \t]*(\S*)", re.ASCII | re.IGNORECASE)
_OFF = ("no", "false", "off", "0", "n", "f")


_BEFORE, _END = "(^|[^[:alnum:]_.-])", "([^[:alnum:]_.-]|$)"
_BELOW = f"/proc/sys[a-z0-9_/]*([^[:alnum:]_./*-]|$)|{_BEFORE}(cd|pushd)[[:blank:]]"


class Write(Struct, frozen=True):
    """A line that writes a parameter. key: its path below /proc/sys. value: None where the line
    alone does not show it."""

    source: ConfigLine
    key: str
    value: str | None


def probe(keys: Sequence[str], plain: bool = True) -> CommandProbe:
    """keys: paths below /proc/sys, `*` for any part; or, not `plain`, regular expressions."""
    made = [_expression(key, "[^[:blank:]=]*") for key in keys] if plain else [*keys]
    if plain:  # and the same below a folder that a script is in, or has in a variable
        made += [_BELOW, *(f"{_BEFORE}{re.escape(key.rpartition('/')[2])}{_END}" for key in keys)]
    made += [exec_resets.LINES, idle_interfaces.LINES]
    return CommandProbe(NAME, UNSEEN + boot_commands.NAMES + _SCRIPT, lines=tuple(made))


def _expression(key: str, part: str) -> str:
    return "[./]".join(part if word == "*" else re.escape(word) for word in key.split("/"))


def lines(readings: HostView) -> Iterator[ConfigLine]:
    """The lines that name one, but those in comments and those that no boot runs.

    cloud-init's commands are among them, whatever they name. Raises Unreadable.
    """
    yield from (source for source, _ in _commands(readings))


def _commands(readings: HostView) -> Iterator[tuple[ConfigLine, str]]:
    """Each line, and its text with paths written out."""
    found = []
    scripts = cloud_init.module_always(readings, "scripts_user")
    for line in readings.output(NAME).lines:
        at = _FOUND.fullmatch(line)
        text = at[3].strip(BLANKS) if at else ""
        if not at or not text or _NOT_AT_BOOT.match(text):
            continue
        if at[1].startswith(MODULES) and not text.startswith("install"):
            continue
        if scripts or not at[1].startswith(cloud_init.SCRIPTS):
            found.append(ConfigLine(at[1], int(at[2]), text))
    found = exec_resets.without(found, lambda source: (source.path, source.line, source.text))
    idle = idle_interfaces.idle_lines([FileLine(s.path, s.line, s.text) for s in found])
    found = [source for source in found if (source.path, source.line) not in idle]
    found += [source for source, _ in cloud_init.boot_commands(readings)]
    allowed = script_paths.allowance()
    for _, of_file in groupby(found, key=lambda source: source.path):
        own = list(of_file)
        yield from zip(
            own, script_paths.absolute((source.text for source in own), allowed), strict=True
        )


def writes(readings: HostView, keys: Sequence[str]) -> list[Write]:
    """The lines that write one of these keys. Raises Unreadable."""
    named = [re.compile(_written(key), re.ASCII) for key in keys]
    return [
        found
        for source, text in _commands(readings)
        for expression in named
        for found in _in_line(source, text, expression)
    ]


def networkd_forwarding_off(readings: HostView) -> list[ConfigLine]:
    """Lines by which systemd-networkd switches IPv4 forwarding off, from NETWORKD_SINCE on."""
    return [
        source
        for source in lines(readings)
        if (hit := _NETWORKD.match(source.text)) and lowered(hit[1]) in _OFF
    ]


def _written(key: str) -> str:
    name = _expression(key, r"(?:\{[^\s{}=]*\}|[^\s=\"'}])+?")
    return rf"(?<![\w./])(?P<proc>/proc/sys/)?(?P<name>{name})(?![\w./])(?P<rest>.*)"


_ASSIGNED = re.compile(r"[}\"']*[ \t]*=(?!=)[ \t]*[\"']?([^\s\"';&|)\]}]*)", re.ASCII)
_TEE = r"[\w/]*\btee(?:[ \t]+[^\s|;&<>]+)*"
_ECHOED = re.compile(
    r"(?:echo|printf)[ \t]+(?:-\w+[ \t]+)*(?:[\"']?%[sd](?:\\+n)?[\"']?[ \t]+)?"
    r"[\"']?(-?[0-9]+)(?:\\+n)?[\"']?[ \t]*"
    rf"(?:>+\|?|\|[ \t]*(?:[\w/]*sudo[ \t]+)?{_TEE})[ \t]*[\"']?\Z",
    re.ASCII,
)
# In the command before a path: what ends with it writes to it. No expression here begins again at
# each word of a line: a line has up to 64 KiB.
_COMMAND_END = re.compile(r"[|;&<>]")
_LIST_END = re.compile(r"[;|&]")
_INTO_TEE = re.compile(r"\btee(?:[ \t]|[\"']?\Z)", re.ASCII)
_OF = re.compile(r"(?<!\w)of=\Z", re.ASCII)
# A file's path in a variable: what a later command does with it is not in this line.
_LOOP = re.compile(r"\bfor[ \t]+\w+[ \t]+in[ \t]", re.ASCII)
_VARIABLE = re.compile(r"(?:^|[\s;\"'])(?!if=)[A-Za-z_]\w*=[\"']?\Z", re.ASCII)
# A setting of a unit that is no command: a condition, or what its commands may write.
_UNITS = (".service", ".socket", ".timer", ".path", ".mount", ".conf")
_SETTING = re.compile(
    r"(?!Exec|Environment|IPv4|PostUp|PreUp)[A-Z][a-z]+[A-Z]?[A-Za-z]*[ \t]*=", re.ASCII
)
_DONE = re.compile(r"\bdone\b", re.ASCII)
_WRITES = re.compile(r"(?<!2)>(?!>*[ \t]*(?:&|/dev/(?:null|stderr)))|\btee\b", re.ASCII)
# Commands whose words are text to be looked for or put into a file.
_READERS = ("grep", "egrep", "fgrep", "zgrep", "sed", "awk", "gawk", "mawk")
_PATTERN_CHARACTERS = ("*", "?", "[")
_BRACES = re.compile(r"(?<!\$)\{([^{}]*,[^{}]*)\}")
_MOST_BRACES = 16


def _in_line(source: ConfigLine, text: str, expression: re.Pattern[str]) -> Iterator[Write]:
    """Every write of the key in this line: `key=1`, `echo 1 >/proc/sys/key`."""
    at = 0
    if source.path.endswith(_UNITS) and _SETTING.match(source.text):
        return
    while hit := expression.search(text, at):
        at = hit.end("name")
        key = hit["name"]
        separator = next((c for c in key if c in "./"), "/")
        path = key if separator == "/" else key.translate(str.maketrans("./", "/."))
        before = text[: hit.start()]
        value: str | None = None
        if assigned := _ASSIGNED.match(hit["rest"]):
            value = assigned[1]
            if "/" in value or _only_reads(before):
                continue
        elif hit["proc"] and (echoed := _ECHOED.search(before)):
            value = echoed[1]
        elif not hit["proc"] or not (
            _into(before)
            or _later_by_variable(before, key, hit["rest"])
            or _by_program(source, text, before, f"/proc/sys/{key}")
        ):
            continue
        for one in _without_braces(path):
            yield Write(source, one, value)


def _into(before: str) -> bool:
    """Whether what follows is a file that the command writes: `>`, tee(1), `of=` of dd(1)."""
    text = before[:-1] if before.endswith(("'", '"')) else before
    if text.rstrip(" \t").endswith((">", ">|")) or _OF.search(text[-4:]):
        return True
    return bool(_INTO_TEE.search(_last_part(before, _COMMAND_END)))


def _in_loop(before: str) -> bool:
    """Whether what follows is a word of `for NAME in`."""
    return bool(_LOOP.search(_last_part(before, _LIST_END)))


def _last_part(text: str, end: re.Pattern[str]) -> str:
    """What follows the last of these characters."""
    at = 0
    for found in end.finditer(text):
        at = found.end()
    return text[at:]


def _later_by_variable(before: str, key: str, rest: str) -> bool:
    """Whether the path is that of a loop or a variable which may be written to."""
    if _in_loop(before):
        return not _DONE.search(rest) or bool(_WRITES.search(rest))
    if _VARIABLE.search(before):
        return True
    return any(c in key for c in _PATTERN_CHARACTERS) and bool(_WRITES.search(before + rest))


def _by_program(source: ConfigLine, text: str, before: str, path: str) -> bool:
    """Whether the command is not known to read the file alone, of which the line has the path."""
    if _in_loop(before):
        return False
    return not boot_writes.only_reads(text, path, source.path)


def _without_braces(key: str) -> list[str]:
    """The keys of `net/ipv4/conf/{all,default}/forwarding`; itself where they are too many."""
    pending, keys = [key], []
    while pending:
        one = pending.pop(0)
        if not (found := _BRACES.search(one)):
            keys.append(one)
            continue
        parts = found[1].split(",")
        if len(parts) + len(pending) + len(keys) > _MOST_BRACES:
            return [key]
        pending += [one[: found.start()] + part + one[found.end() :] for part in parts]
    return keys


def _only_reads(before: str) -> bool:
    """Whether a line's next word is one of grep(1), sed(1) or awk(1): `if grep -q "^key=0" file`.

    before: the line up to there. Quotes may hold another command (`sh -c "…"`).
    """
    begin, quote, opened = 0, "", 0
    for at, character in enumerate(before):
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote, opened = character, at
        elif character in ";|&()`\n":
            begin = at + 1
    command = before[begin : opened if quote else len(before)]
    words = [word.lstrip("\"'`$({!-@+:").rpartition("/")[2] for word in split_words(command)]
    if any(word in _READERS for word in words):
        return True
    return bool(quote) and _only_reads(before[opened + 1 :])

"""The command by which systemd starts a service at its next start. Not a subject.

The unit's own file is read first, then its drop-ins in the order of their names; an empty
`ExecStart=`, `Environment=` or `EnvironmentFile=` drops what was before it. Variables of an
EnvironmentFile beat those of Environment=, a later file beats an earlier one.

Sources: systemd.service(5), "COMMAND LINES"; systemd.exec(5), Environment=, EnvironmentFile= (a
file without `-` before it must be there);
systemd.unit(5), drop-ins.
"""

import re
import shlex
from collections.abc import Iterator

from msgspec import Struct

from facts.parsers import systemd_units
from facts.parsers.blanks import BLANKS, split_words
from facts.parsers.unit_limits import assignments, logical
from hale.model import budgets
from hale.model.evidence import (
    Allowance,
    ConfigLine,
    File,
    HostView,
    Selection,
    Unreadable,
    matches,
    select,
)

_SETTINGS = ("ExecStart", "Environment", "EnvironmentFile", "UnsetEnvironment")
_PREFIXES = "@-:+!|"  # of a command
# Variables that a command may use: by their name, or options and paths. Others may be secret.
_USED = (
    r"[A-Z0-9_]*(CONF|CFG|OPT|ARG|FILE|DIR|PATH)[A-Z0-9_]*[[:space:]]*=|=[[:space:]]*[\"']*(-|/)"
)
ENVIRONMENT = Selection(rf".*({_USED})")
UNIT = Selection(
    r"(.*\r)?[[:space:]]*(\[|(ExecStart|EnvironmentFile|UnsetEnvironment)[[:space:]]*="
    rf"|Environment[[:space:]]*=([[:space:]]*$|.*({_USED})))"
    r"|.*[^\x01-\x7f]|\xef\xbb\xbf"
)
_VARIABLE = re.compile(r"\$\{(\w+)\}|\$(\w+)", re.ASCII)


class StartCommand(Struct, frozen=True):
    """Its words, variables replaced; sources: the lines that make it, the command's own first.

    missing: why systemd does not start it: a file of variables that is required, and is not there.
    """

    words: tuple[str, ...]
    sources: tuple[ConfigLine, ...]
    missing: tuple[str, ...] = ()

    def option(self, *names: str) -> list[str]:
        """The values of this option, in any of its spellings: `-f V`, `-fV`, `--file=V`."""
        found: list[str] = []
        words = iter(self.words[1:])
        for word in words:
            if word in names:
                found += [next(words, "")]
                continue
            for name in names:
                prefix = f"{name}=" if name.startswith("--") else name
                if word.startswith(prefix):
                    found.append(word.removeprefix(prefix))
                    break
        return found


def patterns(unit: str, *environment: str) -> tuple[str, ...]:
    """What `start_command` reads; environment: patterns of files that EnvironmentFile= may name."""
    return (
        *select(UNIT, *systemd_units.file_patterns(unit), *systemd_units.dropin_patterns(unit)),
        *select(ENVIRONMENT, *environment),
    )


def start_command(readings: HostView, unit: str, *environment: str) -> StartCommand | None:
    """The unit's command; None where no file of it has one (it is not installed, or masked).

    Raises Unreadable where it depends on a file that is not read.
    """
    found: dict[str, list[tuple[ConfigLine, str]]] = {name: [] for name in _SETTINGS}
    for file in _files(readings, unit):
        for name in _SETTINGS:
            for source, value, _ in assignments(file, "Service", name):
                found[name] = [*found[name], (source, value)] if value else []
    if not found["ExecStart"]:
        return None
    variables: dict[str, tuple[str, ConfigLine]] = {}
    for source, value in found["Environment"]:
        for word in _words(value):
            name, equals, text = word.partition("=")
            if equals:
                variables[name] = text, source
    missing: list[str] = []
    for source, value in found["EnvironmentFile"]:
        path = value.removeprefix("-").strip("\"'")
        if not any(matches(path, pattern) for pattern in environment):
            raise Unreadable(f"{source} takes variables from {path}, which is not read: look at it")
        named = next((f for f in readings.files(*environment) if f.path == path), None)
        if named is None and not value.startswith("-"):
            missing.append(f"{source} requires {path}, which is not there: {unit} does not start")
        for name, text, line in _variables(named):
            variables[name] = text, line
    for _, value in found["UnsetEnvironment"]:
        for word in _words(value):
            variables.pop(word.partition("=")[0], None)
    source, command = found["ExecStart"][-1]
    sources = [source]
    words: list[str] = []
    allowed = Allowance(budgets.COMMAND_CHARACTERS, "characters of a unit's variables")
    for word in _words(command.lstrip(_PREFIXES)):
        used = [variables[n] for v in _VARIABLE.finditer(word) if (n := v[1] or v[2]) in variables]
        allowed.spend(sum(len(text) for text, _ in used), source)
        sources += [line for _, line in used]
        if alone := re.fullmatch(r"\$(\w+)", word, re.ASCII):
            words += split_words(variables[alone[1]][0]) if used else []
        else:
            words.append(
                _VARIABLE.sub(lambda v: variables.get(v[1] or v[2], ("", source))[0], word)
            )
    return StartCommand(tuple(words), tuple(dict.fromkeys(sources)), tuple(missing))


def _files(readings: HostView, unit: str) -> Iterator[File]:
    """The unit's file and its drop-ins, in the order in which they count."""
    own = systemd_units.in_force(readings, unit).get(unit)
    if own is None or systemd_units.masked(own):
        return
    yield own
    dropins: dict[str, File] = {}
    for file in readings.files(*systemd_units.dropin_patterns(unit)):
        dropins.setdefault(file.path.rpartition("/")[2], file)
    for _, file in sorted(dropins.items()):
        if not systemd_units.masked(file):
            yield file


def _variables(file: File | None) -> Iterator[tuple[str, str, ConfigLine]]:
    """The variables of the file of an EnvironmentFile=."""
    if file is None:
        return
    for number, text, _ in logical(file):
        name, equals, rest = text.partition("=")
        if equals and re.fullmatch(r"\w+", name.strip(BLANKS), re.ASCII):
            line = ConfigLine(file.path, number, text, True, file.changed)
            yield name.strip(BLANKS), "".join(_words(rest, parts=True)), line


def _words(text: str, *, parts: bool = False) -> list[str]:
    """The words of a line, without quotes; parts: the text as one word, blanks inside included.

    Raises Unreadable where quotes are not closed.
    """
    try:
        if parts:
            text = text.strip(BLANKS)
            return shlex.split(text) if text[:1] in "\"'" and text[-1:] == text[:1] else [text]
        return shlex.split(text)
    except ValueError as error:
        raise Unreadable(f"{text[:80]!r}: {error}") from None

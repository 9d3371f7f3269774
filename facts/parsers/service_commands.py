"""Commands of a boot that stop, disable or mask a service, or that start one. Not a subject.

What the same file starts again does not count as stopped. A unit that a boot starts, and that has
the service in its Conflicts=, may stop it too: which of the two is started then depends on systemd.

Sources: systemctl(1), "Unit Commands" and "Unit File Commands"; service(8); invoke-rc.d(8);
update-rc.d(8); chkconfig(8); timedatectl(1), set-ntp; pkill(1), killall(1), kill(1);
systemd.unit(5), Conflicts=.
"""

import re
from collections.abc import Collection, Iterator, Sequence

from facts.parsers import boot_commands
from facts.parsers.blanks import split_words
from facts.parsers.ip_command import commands, program_at
from hale.model.evidence import ConfigLine, HostView, Unreadable

_PROGRAMS = (
    "systemctl", "service", "invoke-rc.d", "update-rc.d", "chkconfig", "timedatectl", "pkill",
    "killall",
)  # fmt: skip
PATTERN = (
    rf"(^|[^A-Za-z0-9_.-])({'|'.join(map(re.escape, _PROGRAMS))}|kill)[\"',]*[ \t]"
    r"|/init[.]d/[\w.-]+[\"']?[ \t]"
)
# A script of a service, and its action.
_INIT = re.compile(
    r"(?:^|[\s;&|({\"'`])/etc/(?:rc\.d/)?init\.d/([\w.-]+)[\"']?[ \t]+(\w+)", re.ASCII
)
_KILL = re.compile(r"(?<![\w.-])kill[ \t]+", re.ASCII)
# Signals that end no service.
_LIVES_ON = re.compile(
    r"-(?:s[ \t]*)?(?:SIG)?(?:0|1|HUP|USR1|USR2|CONT|10|12|18)(?![\w])", re.ASCII
)
_STOPS = ("stop", "disable", "mask", "kill", "off", "remove", "--del")
_STARTS = ("start", "restart", "reload-or-restart", "try-restart", "enable", "reenable", "on")
_NO = ("false", "no", "0", "off")


def refuse_stops(
    readings: HostView, unit: str, *, others: Collection[str] = (), clock: bool = False
) -> None:
    """Raises Unreadable where a command of a boot may stop the unit after it has started.

    others: its other names, and its program's. clock: whether `timedatectl set-ntp` is about it.
    """
    names = {unit, unit.removesuffix(".service"), *others}
    every = list(boot_commands.commands(readings, PATTERN))
    again = {
        command.source.path
        for command in every
        if any(names & {*named} for starts, named in _changes(command.text, clock, unit) if starts)
    }
    for command in every:
        if command.source.path in again or command.source.path.endswith(f"/{unit}"):
            continue
        for starts, named in _changes(command.text, clock, unit):
            if not starts and names & {*named}:
                raise Unreadable(
                    f"{command.source} may stop {unit} after a boot ({command.source.text[:120]})"
                )
    for source, value in boot_commands.settings(readings, "Conflicts"):
        if not source.path.endswith(f"/{unit}") and names & {*split_words(value)}:
            raise Unreadable(
                f"{source} has {source.text[:120]}, and a boot starts that unit: {unit} may not "
                f"start, or be stopped (`systemctl status {unit}` after a boot shows it)"
            )


def starting(readings: HostView, unit: str, *others: str) -> Iterator[ConfigLine]:
    """The lines that start the unit, or enable it, outside of its own files. Raises Unreadable."""
    names = {unit, unit.removesuffix(".service"), *others}
    for command in boot_commands.commands(readings, PATTERN):
        if command.source.path.endswith(f"/{unit}"):
            continue
        if any(
            starts and names & {*named} for starts, named in _changes(command.text, False, unit)
        ):
            yield command.source


def _changes(text: str, clock: bool, unit: str) -> Iterator[tuple[bool, Sequence[str]]]:
    """Whether a command of the line starts services, or stops them, and those."""
    for name, action in _INIT.findall(text):
        if action in (*_STOPS, *_STARTS):
            yield action in _STARTS, (name.removesuffix(".sh"),)
    for given in _given_to_kill(text):
        if not _LIVES_ON.match(given):
            yield False, [w.removesuffix(".pid") for w in re.findall(r"[\w.-]+", given, re.ASCII)]
    for words in commands(text):
        for program in _PROGRAMS:
            at = program_at(words, program)
            if at < 0:
                continue
            rest = [word for word in words[at + 1 :] if word == "--del" or not word.startswith("-")]
            if program == "timedatectl":
                if clock and rest[:1] == ["set-ntp"] and len(rest) > 1:
                    yield rest[1].lower() not in _NO, (unit,)
            elif program in ("pkill", "killall"):
                if "-0" not in words:
                    yield False, [word.rpartition("/")[2] for word in rest]
            elif any(word in _STOPS for word in rest):
                yield False, rest
            elif any(word in _STARTS for word in rest):
                yield True, rest
            break


def _given_to_kill(text: str) -> Iterator[str]:
    """The words of each kill(1) to which another command gives its processes.

    No expression looks for both at once: a line of 64 KiB may have ten thousand of either.
    """
    for command in re.split("[;&]", text):
        stages = command.split("|")
        for number, stage in enumerate(stages, 1):
            kill = _KILL.search(stage)
            words = stage[kill.end() :] if kill else ""
            if "$(" in words or "`" in words:
                yield "|".join([words, *stages[number:]])
                break

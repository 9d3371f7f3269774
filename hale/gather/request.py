"""What must be read from one host, and the script that reads it.

The script prints frames that begin with a random nonce, so that the output of a probe cannot pass
for a frame. It writes nothing to the host: the output of a slow probe waits in a pipe.
"""

import base64
import gzip
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from hale.gather.disclosure import WILD, filter_program
from hale.inventory.ini import Host
from hale.model.evidence import CommandProbe, FileProbe, Probe, SelectedPattern, Selection
from hale.model.requirement import Case
from hale.shell import arguments, load_script
from hale.standard import subjects

# The letters of frames; gather.sh prints them.
SEARCHABLE = "H"  # folders that cannot be searched
FILE_LIST = "L"  # the files' attributes
LINK_TARGETS = "M"  # times of the targets of links
FILE_LINES = "G"  # the lines of files
COMMAND = "C"  # a probe's output
STATUS = "S"  # exit status and errors of the frame before
END = "Z"  # the clock, the uptime at the start and now

# The threads of all hosts make their scripts at once. Most hosts have the same files read, and
# the commands and the filter for them are made once: the first thread does, and the others wait.
_ONE_BY_ONE = Lock()

IDENTITY = "identity"  # the subject that tells which host answered; read in every run
VERSIONS = "node_versions"  # which versions decide what of the baseline holds; read in every run


class ProbeRequest(Struct, frozen=True):
    """What is read from one host: commands by "subject.name", and shell patterns of files.

    selections: of those patterns that no probe reads in full, the lines that are read.
    """

    host: Host
    commands: tuple[tuple[str, CommandProbe], ...]
    patterns: tuple[str, ...]
    selections: Mapping[str, tuple[Selection, ...]] = {}

    @property
    def run_as(self) -> dict[str, str]:
        """For each command, the one that is run in its place: subjects may have the same probe."""
        first: dict[CommandProbe, str] = {}
        return {name: first.setdefault(probe, name) for name, probe in self.commands}


def build_request(host: Host, cases: Sequence[Case[Any]]) -> ProbeRequest:
    """What must be read from this host to judge these cases, without repetition."""
    by_subject: dict[str, list[Case[Any]]] = {IDENTITY: [], VERSIONS: []}
    for case in cases:
        by_subject.setdefault(case.requirement.subject, []).append(case)
    return request_of_probes(
        host,
        [
            (subject, probe)
            for subject, concerned in by_subject.items()
            for probe in subjects.load_subject(subject).probes(host, concerned)
        ],
    )


def request_of_probes(host: Host, probes: Iterable[tuple[str, Probe]]) -> ProbeRequest:
    """All of these probes, each with its subject, without repetition."""
    commands: dict[str, CommandProbe] = {}
    patterns: dict[str, dict[Selection | None, None]] = {}
    for subject, probe in probes:
        if isinstance(probe, FileProbe):
            for pattern in probe.patterns:
                lines = pattern.selection if isinstance(pattern, SelectedPattern) else None
                patterns.setdefault(str(pattern), {})[lines] = None
        else:
            commands[f"{subject}.{probe.name}"] = probe
    selections = {
        pattern: tuple(lines for lines in wanted if lines is not None)
        for pattern, wanted in patterns.items()
        if None not in wanted
    }
    return ProbeRequest(host, tuple(joined_searches(commands)), tuple(patterns), selections)


def joined_searches(commands: Mapping[str, CommandProbe]) -> Iterator[tuple[str, CommandProbe]]:
    """The commands, of which those that differ in their lines alone search for the lines of all."""
    lines: dict[CommandProbe, dict[str, None]] = {}
    for probe in commands.values():
        lines.setdefault(replace(probe, lines=()), {}).update(dict.fromkeys(probe.lines))
    for name, probe in commands.items():
        search = replace(probe, lines=())
        if wanted := lines[search]:
            search = replace(search, script=arguments("|".join(wanted)) + search.script)
        yield name, search


def encode_for_login_shell(script: str) -> str:
    """One command line that runs the script; all login shells, fish and csh too, read it alike."""
    # Compressed: one argument of a command is limited to 128 KiB (execve(2)).
    compressed = gzip.compress(script.encode(), mtime=0)
    return f"echo {base64.b64encode(compressed).decode()} | base64 -d | gzip -d | sh"


_PRELUDE = load_script(Path(__file__).with_name("gather.sh"))


def request_script(request: ProbeRequest, token: str) -> str:
    """The complete script in POSIX sh; response.py parses what it prints between two `token` lines.

    That is a line NONCE, then frames that begin with NONCE and one of the letters below. The
    nonce is the host's own, so that no process list shows it while a probe runs.
    """
    run_as = request.run_as
    commands = [(name, command) for name, command in request.commands if run_as[name] == name]
    batch = " ".join(_probe_arguments(name, c) for name, c in commands if not c.slow)
    with _ONE_BY_ONE:
        files = _file_commands(request.patterns)
    body = f"{files}run_batch {batch}"
    inner = f"{{\n{body}\n}} </dev/null"
    for name, slow in commands:
        if slow.slow:  # its output waits in the pipe until the others are done
            inner = f"{{ run {_probe_arguments(name, slow)}; }} | {{\n{inner}\ncat\n}}"
    end = f"read -r u _ </proc/uptime; printf '\\n%s {END} %s\\n' $N \"$(date +%s.%N) $B $u\""
    edge = f"echo {token}\n"
    program = shlex.quote(filter_of(request))
    pipe = f"LC_ALL=C sed -E {program} | gzip -1c | base64"
    return f"{edge}{{\n{_PRELUDE}{inner}\n{end}\n}} | {pipe}\n{edge}"


def filter_of(request: ProbeRequest) -> str:
    """The sed program through which the answer leaves the host."""
    full = tuple(p for p in request.patterns if p not in request.selections)
    with _ONE_BY_ONE:
        return _filter_of_files(tuple(request.selections.items()), full)


@lru_cache(maxsize=16)
def _filter_of_files(
    selections: tuple[tuple[str, tuple[Selection, ...]], ...], full: tuple[str, ...]
) -> str:
    return filter_program(dict(selections), full)


def _probe_arguments(name: str, command: CommandProbe) -> str:
    return f"{shlex.quote(name)} {command.timeout:g} {shlex.quote(command.script)}"


@lru_cache(maxsize=16)
def _file_commands(patterns: tuple[str, ...]) -> str:
    if not patterns:
        return ""
    lines = [
        # Without an argument, find would search the current folder.
        *_set_arguments(["/dev/null", *_folders_to_search(patterns)]),
        'check_searchable "$@"',
        # A pattern that matches nothing stays as it is: find reports that there is no such file.
        *_set_arguments(patterns),
        'stat_files "$@"',
        f'read_matches {SENTINEL_FILE} "$@"',
    ]
    return "".join(f"{line}\n" for line in lines)


def _set_arguments(patterns: Sequence[str]) -> list[str]:
    """Set $@ to the patterns' matches, without duplicates where /lib is a link to /usr/lib."""
    known = frozenset(patterns)
    always: list[str] = []
    unmerged: list[str] = []
    for pattern in patterns:
        twin = pattern.startswith("/lib/") and f"/usr{pattern}" in known
        (unmerged if twin else always).append(_shell_pattern(pattern))
    lines = [f"set -- {' '.join(always)}"]
    if unmerged:
        lines.append(f'[ /lib -ef /usr/lib ] 2>/dev/null || set -- "$@" {" ".join(unmerged)}')
    return lines


def _folders_to_search(patterns: Sequence[str]) -> list[str]:
    """The folders that must be searchable, or else a pattern may have matches we do not see.

    For a path without wildcards, find itself reports an error.
    """
    found: dict[str, None] = {}
    for pattern in patterns:
        parts = pattern.split("/")
        for depth in range(2, len(parts)):
            if any(WILD.search(part) for part in parts[1 : depth + 1]):
                found["/".join(parts[:depth])] = None
    return list(found)


SENTINEL_FILE = "/proc/sys/kernel/random/uuid"  # the script has read it already


def _shell_pattern(pattern: str) -> str:
    """The pattern with everything quoted except its wildcards."""
    parts = re.split(f"({WILD.pattern})", pattern)
    return "".join(p if i % 2 else (shlex.quote(p) if p else "") for i, p in enumerate(parts))

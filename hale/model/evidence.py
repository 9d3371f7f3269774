"""What a fact is made of: probes that are run on a host, readings that come back, sources.

A module of facts/ declares `probes(host, cases)`, and for each aspect it can tell a pure
function of that name, `runtime(readings, case)` or `persisted(readings, case)`, which
returns a frozen Struct. Nothing in this file touches a host.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property, lru_cache, wraps
from itertools import islice, takewhile
from typing import Concatenate, ParamSpec, Protocol, TypeVar, runtime_checkable

from msgspec import Struct

from hale.model.reading_time import Stopwatch

Rest = ParamSpec("Rest")
Understood = TypeVar("Understood")


class Unreadable(Exception):
    """The host could not be queried, or did not answer in a known form: the verdict is UNKNOWN."""


class NotApplicable(Exception):
    """The requirement does not concern this host; the text says why: the verdict is N-A."""


class Allowance:
    """Counts what a reader spends of one of these limits."""

    def __init__(self, limit: int, what: str) -> None:
        """what: the limit in the plural, for the reason: `characters of variables`."""
        self._limit = limit
        self._remaining = limit
        self._what = what

    def spend(self, amount: int = 1, where: object = "") -> None:
        """Raises Unreadable, with the place, once more than the limit was spent."""
        self._remaining -= amount
        if self._remaining < 0:
            place = f"{where}: " if where else ""
            raise Unreadable(f"{place}more than {self._limit} {self._what}")


class CommandProbe(Struct, frozen=True):
    """A piece of POSIX sh that only reads, run in a shell of its own, LC_ALL=C, stdin closed.

    It may be a subshell: `$$` is not this shell's number, /proc/self is.
    Exit status 0 means that it could see what it looked for, whatever it found.
    `timeout` is in seconds. `slow` commands (a VIP that does not answer, a registry) run
    beside the others. Its output may be at most about 1 MiB, a slow one's 64 KiB.
    `lines` are extended regular expressions of the lines that a search of files prints; the script
    gets them as `$1`, in one. Probes that differ in them alone are one search for the lines of all,
    so each reader must expect lines that others need.
    """

    name: str
    script: str
    timeout: float = 10.0
    slow: bool = False
    lines: tuple[str, ...] = ()


class Selection(Struct, frozen=True):
    """The lines of a file that leave the host; the others are empty.

    only: an extended regular expression (regex(7), LC_ALL=C) that they match from their beginning.
    With a line comes the next one if it ends with a backslash, and those after it that match
    `follow`, if there is one.
    """

    only: str
    follow: str = ""


#: No line: it counts only that the file is there, and whether it is empty.
EXISTENCE = Selection("$.")


class SelectedPattern(str):
    """A shell pattern of files of which not all lines are read."""

    selection: Selection


def select(selection: Selection, *patterns: str) -> tuple[SelectedPattern, ...]:
    """These patterns with a selection of lines, for a FileProbe.

    A fact must read the same from these lines as from all: tests/facts gives it no others.
    """
    found = tuple(map(SelectedPattern, patterns))
    for pattern in found:
        pattern.selection = selection
    return found


@dataclass(frozen=True)
class FileProbe:
    """Files to be read, as absolute shell patterns (`*`, `?`, `[…]`; `*` skips dot files)."""

    patterns: tuple[str, ...]

    def __init__(self, *patterns: str) -> None:
        object.__setattr__(self, "patterns", patterns)


Probe = CommandProbe | FileProbe


class Output(Struct, frozen=True, rename={"exit_status": "status"}):
    """What one command printed. Bytes that are not UTF-8 appear as `\\xNN`."""

    name: str
    exit_status: int
    stdout: str
    stderr: str
    read_at: float  # seconds since the epoch, by the operator's clock
    script: str = ""

    @property
    def text(self) -> str:
        """Its standard output; raises Unreadable where the exit status says it could not see."""
        if self.exit_status != 0:
            lines = (self.stderr.strip() or self.stdout.strip()).splitlines()
            why = lines[-1] if lines else "no output"
            if self.exit_status in (124, 137):
                why = f"no answer in time ({why})"
            raise Unreadable(f"{self.name}: exit status {self.exit_status}: {why}")
        return self.stdout

    @property
    def lines(self) -> list[str]:
        """`text` cut at newlines only (a form feed or U+2028 inside a line stays there)."""
        cut = self.text.split("\n")
        return cut[:-1] if cut[-1] == "" else cut


class File(Struct, frozen=True, rename={"error": "trouble"}):
    """One file as it stands on the host.

    kind: `f` file, `d` directory, `l` symbolic link whose target is missing or special,
    or find(1)'s other letters; a link to a regular file is `f` with `target` set.
    changed: the later of inode change and content change, seconds since the epoch, by the
    host's clock. content: lines without their newline (a CR stays), None if not readable.
    device: MAJOR:MINOR of the device that it, or a link's target, is on; empty if unknown.
    """

    path: str
    kind: str
    target: str | None
    changed: float
    content: tuple[str, ...] | None
    error: str = ""
    device: str = ""

    @property
    def lines(self) -> tuple[str, ...]:
        """Its lines; raises Unreadable where the file is there but could not be read."""
        if self.content is None:
            raise Unreadable(f"{self.path}: {self.error or 'not readable'}")
        return self.content

    @property
    def masked(self) -> bool:
        """True for a link to /dev/null, systemd's way to switch a file off."""
        return self.target == "/dev/null"


class ConfigLine(Struct, frozen=True):
    """A line of a host's file that bears on a setting. `wins`: it is the one that counts."""

    path: str
    line: int
    text: str
    wins: bool = False
    changed: float = 0.0  # File.changed of its file
    note: str = ""

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" if self.line else self.path


class Fact(Protocol):
    """What every fact can say of itself; the rest of it is the subject's own."""

    @property
    def actual(self) -> str:
        """How the host is, in one sentence for a person, with the place where it stands."""

    @property
    def sources(self) -> Sequence[ConfigLine]:
        """The lines it was read from, winners marked; empty for values of the kernel."""


@runtime_checkable
class SettledFact(Fact, Protocol):
    """A fact whose `actual` names values that change by themselves, such as the age of a lease."""

    @property
    def settled(self) -> str:
        """The same sentence without them: what two runs compare. Never empty."""


class Search(Struct, frozen=True):
    """Files by path, in the order of their patterns, and the patterns that name none."""

    files: Mapping[str, File]
    unmatched: Mapping[str, None]


# The names of evidence.json, a published format.
_SAVED_NAMES = {
    "files": "listed",
    "unsearchable": "hidden",
    "files_error": "files_trouble",
    "unreachable": "down",
}


class Evidence(Struct, frozen=True, dict=True, rename=_SAVED_NAMES):
    """Everything one host answered in one run."""

    host: str
    outputs: Mapping[str, Output] = {}  # by "subject.command"
    files: Mapping[str, File] = {}  # by path
    patterns: frozenset[str] = frozenset()  # what was looked for
    unsearchable: Mapping[str, str] = {}  # what could not be searched, and why
    files_error: str = ""  # why the files could not be read at all
    read_at: float = 0.0  # when the answer was complete, by the operator's clock
    clock: float | None = None  # the host's own clock at that moment, or up to `clock_delay` before
    clock_delay: float = 0.0  # most seconds that it was in transit
    unreachable: str = ""  # why the host could not be queried at all
    transport: str = "hale"  # testinfra's name for the connection
    address: str = ""
    login_user: str = ""
    host_key: str = ""  # "ssh-ed25519 SHA256:…", as the ssh client verified it

    def named(self, pattern: str) -> tuple[File, ...]:
        """The files that the pattern names, by path. Remembered: many requirements ask alike."""
        if pattern not in self._named:
            wild = _WILD.search(pattern)
            if wild is None:
                named = [pattern] if pattern in self.files else []
            else:
                fixed = pattern[: wild.start()]
                behind = islice(self._paths, bisect_left(self._paths, fixed), None)
                near = takewhile(lambda path: path.startswith(fixed), behind)
                named = [path for path in near if matches(path, pattern)]
            self._named[pattern] = tuple(self.files[path] for path in named)
        return self._named[pattern]

    def search(self, patterns: tuple[str, ...]) -> Search:
        """The files of these patterns. Remembered as well. Raises Unreadable."""
        if patterns not in self._searches:
            found: dict[str, File] = {}
            for pattern in patterns:
                if not self.has_pattern(pattern):
                    raise Unreadable(f"{pattern} is not in the evidence")
                for directory, why in self.unsearchable.items():
                    if _could_hold(directory, pattern):
                        raise Unreadable(f"{directory}: not searchable: {why}")
                for file in self.named(pattern):
                    found.setdefault(file.path, file)
            unmatched = [pattern for pattern in patterns if not self.named(pattern)]
            self._searches[patterns] = Search(found, dict.fromkeys(unmatched))
        return self._searches[patterns]

    def has_pattern(self, pattern: str) -> bool:
        """Whether these files were looked for; those of one path also by an earlier version's
        pattern that names it."""
        return pattern in self.patterns or _earlier_pattern(self.patterns, pattern)

    @cached_property
    def reading_time(self) -> Stopwatch:
        """What it took so far to understand this host's answer."""
        return Stopwatch()

    @cached_property
    def shared_reading_time(self) -> Stopwatch:
        """The same for what is read from this host and others together."""
        return Stopwatch()

    @cached_property
    def _named(self) -> dict[str, tuple[File, ...]]:
        return {}

    @cached_property
    def _searches(self) -> dict[tuple[str, ...], Search]:
        return {}

    @cached_property
    def _paths(self) -> list[str]:
        return sorted(self.files)


@lru_cache(maxsize=1 << 14)  # hosts of one run have the same patterns
def _earlier_pattern(patterns: frozenset[str], path: str) -> bool:
    return not _WILD.search(path) and any(matches(path, other) for other in patterns)


class HostView:
    """One subject's view of a host's evidence; remembers what was looked at."""

    def __init__(self, evidence: Evidence, subject: str) -> None:
        self._evidence = evidence
        self._subject = subject
        self.host = evidence.host
        self.used_outputs: dict[str, Output] = {}
        self.used_files: dict[str, File] = {}
        self.without_match: dict[str, None] = {}  # patterns that name no file

    @property
    def read_at(self) -> float:
        """When the files were read, seconds since the epoch, by the operator's clock."""
        return self._evidence.read_at

    @property
    def reading_time(self) -> Stopwatch:
        """See Evidence."""
        return self._evidence.reading_time

    @property
    def shared_reading_time(self) -> Stopwatch:
        """See Evidence."""
        return self._evidence.shared_reading_time

    @property
    def clock(self) -> float | None:
        """The host's clock when its answer was complete; None where it was not read."""
        return self._evidence.clock

    @property
    def clock_delay(self) -> float:
        """Seconds by which the clock may be further ahead than `clock_offset`."""
        return self._evidence.clock_delay

    @property
    def clock_offset(self) -> float:
        """How far the host's clock is ahead of the operator's, in seconds. Raises Unreadable.

        Both are read when the host has answered everything; the time in transit makes the host look
        late, by `clock_delay` at most.
        """
        self._up()
        if self._evidence.clock is None:
            raise Unreadable("the host's `date` printed no time")
        return self._evidence.clock - self._evidence.read_at

    def output(self, name: str) -> Output:
        """What the command of that name printed. Raises Unreadable if it never answered."""
        self._up()
        found = self._evidence.outputs.get(f"{self._subject}.{name}")
        if found is None:
            raise Unreadable(f"{self._subject}.{name} is not in the evidence")
        self.used_outputs[name] = found
        return found

    def text(self, name: str) -> str:
        """Standard output of a command that could see. Raises Unreadable."""
        return self.output(name).text

    def file(self, path: str) -> File | None:
        """The file, or None if there is none. Raises Unreadable if that is unknown."""
        found = self.files(path)
        return found[0] if found else None

    def files(self, *patterns: str) -> tuple[File, ...]:
        """The files of these declared patterns, by pattern, then path. Raises Unreadable."""
        self._up()
        if self._evidence.files_error:
            raise Unreadable(self._evidence.files_error)
        found = self._evidence.search(patterns)
        self.without_match.update(found.unmatched)
        self.used_files.update(found.files)
        return tuple(found.files.values())

    def _up(self) -> None:
        if self._evidence.unreachable:
            raise Unreadable(self._evidence.unreachable)


def parsed(
    read: Callable[Concatenate[HostView, Rest], Understood],
) -> Callable[Concatenate[HostView, Rest], Understood]:
    """A reader to which an answer that it cannot parse is Unreadable."""

    def guarded(readings: HostView, /, *args: Rest.args, **kwargs: Rest.kwargs) -> Understood:
        try:
            return read(readings, *args, **kwargs)
        except (ValueError, LookupError) as error:
            raise Unreadable(f"{readings.host}: the answer is garbled: {error}") from None

    return wraps(read)(guarded)


ClusterView = Mapping[str, HostView]


def matches(path: str, pattern: str) -> bool:
    """Whether the shell's pattern names this path: part by part, `*` never takes a dot first.

    Source: sh(1), "Filename Expansion".
    """
    have, want = path.split("/"), pattern.split("/")
    return len(have) == len(want) and all(
        fnmatchcase(h, w) and (not h.startswith(".") or w.startswith("."))
        for h, w in zip(have, want, strict=True)
    )


_WILD = re.compile(r"[*?[]")


def _could_hold(directory: str, pattern: str) -> bool:
    depth = directory.rstrip("/").count("/") + 1
    return matches(directory.rstrip("/"), "/".join(pattern.split("/")[:depth]))

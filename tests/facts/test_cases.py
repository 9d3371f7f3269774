"""Every reader on recorded files and outputs: one small TOML file a case, named by what it shows.

tests/facts/<subject>/<what-it-shows>.toml is

    requirement = "SYS-IP-FORWARD"   # of the real standard; its subject is the folder's name
    aspect = "persisted"
    verdict = "FAIL"                 # PASS, FAIL, UNKNOWN or N-A, from the check's own function
    actual = "no line sets"          # must be in what a person reads (a string, or several);
                                     # for UNKNOWN and N-A the reason, which must be stated
    winners = ["/etc/x.conf:3"]      # sources with `wins`; with `losers` those without
    absent = ["value"]               # fields of the fact that must be None
    host = "k8s-master-01"           # of ../../inventory.ini; that is the default
    hidden = ["/etc/x.d"]            # folders that could not be searched
    down = ""                        # why the host could not be asked at all
    files_trouble = ""               # why no file could be read
    [fields]                         # of the fact: those named must be equal
    value = 0
    [parameters]                     # override the standard's
    [variables]                      # the inventory's, for this host
    [files."/etc/x.conf"]
    text = "a = 1\\n"                 # or: kind = "d", target = "…", trouble = "…", changed = 0
    ignored = true                   # no probe reads this one (the driver holds you to it)
    [outputs.name]
    stdout = ""                      # also: stderr, status
    missing = true                   # the usual one is not in the evidence
    base = "swap/recorded/a.txt"     # instead of stdout: a file beside the cases, and
    diff = ""                        # the hunks of `diff -u` from it to the output

What each host has in every case of a subject is in <subject>/usual/host.toml, `[files]` and
`[outputs]`; a case's own file or output of that name replaces it (`kind = "-"`: it is not there).

    inventory = "[masters]\n…"       # instead of ../../inventory.ini
    planned = false                  # the host was named by a URI, not by the inventory

A requirement of the whole cluster has `[hosts.<name>]` tables with files, outputs, hidden,
down, files_trouble and `clock` (the host's, when the operator's is 0) of each instead;
`asked = false` leaves a host out of the run, and `[every]` gives what all hosts have alike.
Files and outputs that no probe asks for are mistakes; of those that USUAL names, a case states what
is not usual. A PASS or FAIL case that states nothing
which was read is one too: an empty fact would do for it. It needs `actual`, a winner, a loser, or
a field that is not empty.
"""

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from hale.audit.judge import judge_fact
from hale.gather.request import filter_of, request_of_probes
from hale.inventory import ini as inventories
from hale.inventory.ini import Host, Inventory, Variable
from hale.model.errors import Location
from hale.model.evidence import (
    CommandProbe,
    Evidence,
    File,
    FileProbe,
    HostView,
    NotApplicable,
    Output,
    Probe,
    Unreadable,
    matches,
)
from hale.model.requirement import Aspect, Case, Requirement
from hale.standard import loader as standards
from hale.standard import subjects
from tests.facts.recorded_output import output_of

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
CASES = sorted(HERE.glob("*/*.toml"))


class GivenFile(msgspec.Struct, forbid_unknown_fields=True):
    text: str = ""
    kind: str = "f"
    target: str | None = None
    trouble: str = ""
    changed: float = 0.0
    device: str = "8:1"
    ignored: bool = False


class GivenOutput(msgspec.Struct, forbid_unknown_fields=True):
    stdout: str = ""
    stderr: str = ""
    status: int = 0
    base: str = ""
    diff: str = ""
    missing: bool = False

    def __post_init__(self) -> None:
        if self.base:
            if self.stdout:
                raise ValueError("an output has `base` or `stdout`")
            self.stdout = output_of(HERE / self.base, self.diff)
        elif self.diff:
            raise ValueError("differences without a base")
        self.base = self.diff = ""


# What a case has without naming it: a boot runs no commands, and all files are on the root's disk.
USUAL = {"boot_commands": GivenOutput("")}
USUAL_FILES = {"/proc/self/mountinfo": GivenFile("30 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n")}


class GivenHost(msgspec.Struct, forbid_unknown_fields=True):
    files: dict[str, GivenFile] = {}
    outputs: dict[str, GivenOutput] = {}
    hidden: list[str] = []
    down: str = ""
    files_trouble: str = ""
    variables: dict[str, str] = {}
    clock: float | None = None
    clock_delay: float = 0.0
    asked: bool = True


class Given(GivenHost, kw_only=True, forbid_unknown_fields=True):
    requirement: str
    aspect: str
    verdict: str
    actual: str | list[str] = []
    winners: list[str] | None = None
    losers: list[str] | None = None
    absent: list[str] = []
    fields: dict[str, Any] = {}
    host: str = "k8s-master-01"
    parameters: dict[str, Any] = {}
    hosts: dict[str, GivenHost] = {}
    every: GivenHost = msgspec.field(default_factory=GivenHost)
    inventory: str = ""
    planned: bool = True
    masters_only: bool = False


@pytest.mark.parametrize("path", CASES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_case(path: Path) -> None:
    given = loaded(path.read_bytes())
    requirement = requirement_named(given.requirement)
    assert requirement.subject == path.parent.name, "the case lies in another subject's folder"
    judged = judge_fact(case_of(given, requirement), lambda: read(given, requirement))
    assert isinstance(judged.error, Unreadable | NotApplicable | AssertionError | None)
    fact: Any = judged.fact
    verdict, reason = judged.result.verdict.value, judged.result.actual
    assert verdict == given.verdict, reason
    assert fact is not None or given.actual, f"state the reason in `actual`: {reason}"
    wanted = [given.actual] if isinstance(given.actual, str) else given.actual
    for part in wanted:
        assert part in reason
    if fact is None:
        assert given.winners is given.losers is None
        assert not given.fields
        assert not given.absent
        return
    if given.winners is not None:
        assert [str(s) for s in fact.sources if s.wins] == given.winners
    if given.losers is not None:
        assert sorted(str(s) for s in fact.sources if not s.wins) == sorted(given.losers)
    for name in given.absent:
        assert getattr(fact, name) is None
    assert picked(msgspec.to_builtins(fact), given.fields) == given.fields


def loaded(text: bytes) -> Given:
    """The case; raises ValueError where an empty fact would do for its verdict."""
    given = msgspec.toml.decode(text, type=Given)
    fields = [v for v in given.fields.values() if v not in ([], {}, "")]
    bare = not (given.actual or given.winners or given.losers or fields)
    if bare and given.verdict in ("PASS", "FAIL"):
        raise ValueError(
            f"a {given.verdict} case must state `actual`, `fields`, `winners` or `losers`"
        )
    return given


def swap_case(verdict: str, statement: str) -> bytes:
    case = f'requirement = "SWAP-OFF"\naspect = "persisted"\nverdict = "{verdict}"\n'
    return (case + statement).encode()


@pytest.mark.parametrize("verdict", ["PASS", "FAIL"])
@pytest.mark.parametrize(
    "statement", ["", "winners = []", "losers = []", "fields = {}", "fields = {enables_swap = []}"]
)
def test_a_bare_case_is_refused(verdict: str, statement: str) -> None:
    with pytest.raises(ValueError, match=f"a {verdict} case must state"):
        loaded(swap_case(verdict, statement))


@pytest.mark.parametrize(
    "statement",
    ["actual = 'x'", "winners = ['/a:1']", "losers = ['/a:1']", "fields = {value = 0}"],
)
def test_a_case_that_states_what_was_read(statement: str) -> None:
    assert loaded(swap_case("PASS", statement)).verdict == "PASS"


def picked(have: Any, wanted: Any) -> Any:
    """Of `have` only what `wanted` names, so that a case states no more than it is about."""
    if isinstance(have, tuple):
        have = list(have)
    if isinstance(wanted, dict) and isinstance(have, dict):
        return {key: picked(have.get(key, "no such field"), wanted[key]) for key in wanted}
    if isinstance(wanted, list) and isinstance(have, list) and len(have) == len(wanted):
        return [picked(h, w) for h, w in zip(have, wanted, strict=True)]
    return have


def read(given: Given, requirement: Requirement) -> Any:
    """The fact, from nothing but what the case gives."""
    case = case_of(given, requirement)
    tell = subjects.reader(requirement.subject, given.aspect)
    assert tell is not None
    if requirement.role != "cluster":
        return tell(readings_of(given, case, case.host), case)
    hosts = case.sources
    assert set(given.hosts) <= set(hosts), "the inventory has no such host"
    each = {name: of_cluster(given, name) for name in hosts}
    return tell({n: readings_of(each[n], case, h) for n, h in hosts.items() if each[n].asked}, case)


def of_cluster(given: Given, name: str) -> GivenHost:
    """What this host has: its own, and what every host has."""
    own = given.hosts.get(name, GivenHost())
    return msgspec.structs.replace(
        own,
        files={**given.every.files, **own.files},
        outputs={**given.every.outputs, **own.outputs},
    )


def readings_of(given: GivenHost, case: Case[Any], host: Host | None) -> HostView:
    """What the gatherer would hand over had the host these files and answers."""
    assert host is not None
    subject = case.requirement.subject
    probes = list(subjects.load_subject(subject).probes(host, [case]))
    patterns = {p for probe in probes if isinstance(probe, FileProbe) for p in probe.patterns}
    commands = {probe.name: probe for probe in probes if isinstance(probe, CommandProbe)}
    given = with_usual(given, subject, patterns, commands)
    usual = {name: out for name, out in USUAL.items() if name in commands}
    every = {**usual, **given.outputs}
    outputs = {name: out for name, out in every.items() if not out.missing}
    files = {path: file for path, file in USUAL_FILES.items() if path in patterns}
    files |= given.files
    assert set(given.outputs) <= set(commands), "no probe has such a name"
    for path, file in given.files.items():
        asked = any(matches(path, pattern) for pattern in patterns)
        assert asked is not file.ignored, f"{path}: {'' if asked else 'not '}read by the probes"
    return HostView(
        Evidence(
            host=host.name,
            outputs={
                f"{subject}.{name}": Output(
                    name, out.status, out.stdout, out.stderr, 0.0, commands[name].script
                )
                for name, out in outputs.items()
            },
            files=as_sent(
                host,
                [file_of(p, file) for p, file in files.items() if not file.ignored],
                probes,
            ),
            patterns=frozenset(patterns),
            unsearchable=dict.fromkeys(given.hidden, "Permission denied"),
            files_error=given.files_trouble,
            unreachable=given.down,
            clock=given.clock,
            clock_delay=given.clock_delay,
        ),
        subject,
    )


def as_sent(host: Host, files: Sequence[File], probes: Sequence[Probe]) -> dict[str, File]:
    """By path, with the lines that leave the host: the filter is sed's, as there."""
    request = request_of_probes(host, [("subject", probe) for probe in probes])
    lines = [(f, n, line) for f in files for n, line in enumerate(f.content or (), 1)]
    sent = filtered(
        filter_of(request),
        b"".join(f"{f.path}\0{n}:".encode() + _bytes(line) + b"\n" for f, n, line in lines),
    ).split(b"\n")[:-1]
    assert len(sent) == len(lines)
    content: dict[str, list[str]] = {f.path: [] for f in files if f.content is not None}
    for (file, n, line), record in zip(lines, sent, strict=True):
        begin = f"{file.path}\0{n}:".encode()
        assert record.startswith(begin)
        text = record.removeprefix(begin)
        content[file.path].append(line if text == _bytes(line) else text.decode())
    return {
        f.path: replace(f, content=tuple(content[f.path])) if f.path in content else f
        for f in files
    }


@cache  # the hosts of a cluster have the same files, and so have many cases
@lru_cache(maxsize=1024)  # four of five cases and hosts have lines that another one has had
def filtered(program: str, lines: bytes) -> bytes:
    """What the host's sed makes of these lines."""
    return subprocess.run(
        ["sed", "-E", program],
        input=lines,
        env={"LC_ALL": "C", "PATH": os.environ["PATH"]},
        capture_output=True,
        check=True,
    ).stdout


def _bytes(line: str) -> bytes:
    """What stands in the file: cases have bytes that are not UTF-8 as `\\xNN`."""
    return re.sub(rb"\\x([89a-f][0-9a-f])", lambda m: bytes.fromhex(m[1].decode()), line.encode())


def with_usual(
    given: GivenHost, subject: str, patterns: set[str], commands: Mapping[str, CommandProbe]
) -> GivenHost:
    """With what hosts have in every case of the subject, as far as the probes read it."""
    more = usual_host(subject)
    files = {
        path: file
        for path, file in more.files.items()
        if any(matches(path, pattern) for pattern in patterns)
    }
    outputs = {name: out for name, out in more.outputs.items() if name in commands}
    kept = {p: f for p, f in {**files, **given.files}.items() if f.kind != "-"}
    return replace(given, files=kept, outputs={**outputs, **given.outputs})


@cache
def usual_host(subject: str) -> GivenHost:
    path = HERE / subject / "usual" / "host.toml"
    return msgspec.toml.decode(path.read_bytes(), type=GivenHost) if path.exists() else GivenHost()


def file_of(path: str, given: GivenFile) -> File:
    lines = given.text.split("\n")
    if lines[-1] == "":
        lines.pop()
    readable = given.kind == "f" and not given.trouble
    return File(
        path,
        given.kind,
        given.target,
        given.changed,
        tuple(lines) if readable else None,
        given.trouble,
        given.device,
    )


def judge(given: Given, requirement: Requirement, fact: Any) -> str:
    """The verdict on a fact of this case."""
    return judge_fact(case_of(given, requirement), lambda: fact).result.verdict.value


def case_of(given: Given, requirement: Requirement) -> Case[Any]:
    inventory = with_variables(given)
    types = {name: subjects.parameter_type(requirement.subject, name) for name in given.parameters}
    parameters = replace(
        requirement.parameters,
        **{name: msgspec.convert(given.parameters[name], types[name]) for name in types},
    )
    hosts = {host.name: host for host in inventory.hosts}
    host = None if requirement.role == "cluster" else hosts[given.host]
    aspect = Aspect(given.aspect)
    return Case(requirement, aspect, host, parameters, (), inventory, given.masters_only)


def with_variables(given: Given) -> Inventory:
    """The inventory of the document's hosts, with the case's own variables of each."""
    complete = the_inventory()
    if given.inventory:
        with NamedTemporaryFile("w", suffix=".ini") as file:
            file.write(given.inventory)
            file.flush()
            complete = inventories.load_inventory(Path(file.name))
    more = {given.host: given.variables} | {n: h.variables for n, h in given.hosts.items()}
    hosts = tuple(
        replace(
            host,
            in_inventory=given.planned,
            variables={
                **host.variables,
                **{
                    name: Variable(value, host.name, Location("the case"))
                    for name, value in more.get(host.name, {}).items()
                },
            },
        )
        for host in complete.hosts
    )
    return replace(complete, hosts=hosts)


def requirement_named(name: str) -> Requirement:
    return {r.id: r for r in the_standard().requirements}[name]


@cache
def the_inventory() -> Inventory:
    return inventories.load_inventory(ROOT / "inventory.ini")


@cache
def the_standard() -> standards.Standard:
    return standards.load_standard(ROOT / "standard")

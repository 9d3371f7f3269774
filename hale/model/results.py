"""results.json: what a run found, in one file from which every report is made.

The schema's version is `SCHEMA`; docs/results.md describes it. Fields are only ever added
within a version.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from hale.model.comparison import DriftRecord
from hale.model.evidence import Fact, File, HostView, SettledFact
from hale.model.notice import Notice
from hale.model.requirement import Case
from hale.model.verdict import Verdict
from hale.model.waiver import WaiverRecord, WaiverState

SCHEMA = "hale.results/2"
# The attribute of a test report that carries its row, through xdist too: a Result, or None in a
# phase of such a test that decides nothing.
ROW = "hale_row"
# Characters of a probe's output that a result keeps, and of a file that was read while another
# one decided; evidence.json has it all.
EXCERPT = 2000
EXCERPT_SECONDARY = 300


class OverrideRecord(msgspec.Struct, frozen=True):
    """A value of the baseline that the inventory overrides, and where."""

    parameter: str
    standard: Any
    value: Any
    scope: str
    where: str


class ConfigLineRecord(msgspec.Struct, frozen=True):
    """A line of a file on the host that bears on the result; `wins`: the one that counts."""

    path: str
    line: int
    text: str
    wins: bool
    changed: float
    note: str = ""


class EvidenceExcerpt(msgspec.Struct, frozen=True):
    """A probe that the verdict rests on. exit_status is None for a file."""

    probe: str
    exit_status: int | None
    output: str
    read_at: str


class Result(msgspec.Struct):
    """One row: a requirement's aspect on one host, or on `cluster`."""

    host: str
    requirement: str
    aspect: str
    verdict: Verdict
    chapter: int
    title: str
    subject: str
    severity: str
    profile: str
    expected: str
    actual: str
    test: str
    duration: float = 0.0  # seconds
    reboot_proven: bool = False  # hale/audit/boots.py decides
    overrides: list[OverrideRecord] = []
    settings: list[ConfigLineRecord] = []
    evidence: list[EvidenceExcerpt] = []
    log: str = ""  # what pytest has beyond that: the traceback of an error, captured output
    waiver: WaiverRecord | None = None  # where the verdict is WAIVED
    value: str = ""  # what two runs compare, where `actual` names what changes by itself


class HostRecord(msgspec.Struct):
    """Which machine answered under that name. Empty fields could not be read."""

    name: str
    address: str = ""
    transport: str = ""
    login_user: str = ""
    effective_user: str = ""
    host_key: str = ""
    machine_id: str = ""
    boot_id: str = ""
    booted_at: str = ""
    boot_unclear: str = ""  # why no setting counts as proven by a reboot
    os: str = ""
    kernel: str = ""
    kubernetes: str = ""  # the kubelet's version, without a `v`
    read_at: str = ""
    down: str = ""
    groups: list[str] = []  # of the inventory, without `all`


class Guidance(msgspec.Struct, frozen=True):
    """A failed requirement: why it matters, and how to remediate it.

    by_hand: Markdown, with the baseline's values; `HOST` stands for the host's name. fixed_aspects:
    those that `invoke fix` has a change for.
    """

    requirement: str
    why: str
    by_hand: str
    fixed_aspects: list[str] = []


class SiteCheck(msgspec.Struct):
    """A test that judges no requirement: one of the site's own, or a file that pytest cannot load.

    A test that fails in its call and again in its teardown is here twice.
    """

    test: str
    outcome: str  # pytest's: passed, failed, error, skipped, xfailed, xpassed or rerun
    message: str = ""  # why, in a line or a few
    text: str = ""  # pytest's account of the failure, with the traceback
    output: str = ""  # what the test printed and logged
    duration: float = 0.0  # seconds
    properties: dict[str, str] = {}  # of the fixture record_property


#: Outcomes of a site's own test that make pytest's exit status 1.
FAILED_OUTCOMES = ("failed", "error")


class RowKey(msgspec.Struct, frozen=True):
    """The name of a result."""

    host: str
    requirement: str
    aspect: str


class Run(msgspec.Struct):
    """Who ran what, from where, with which inputs."""

    kind: str
    state: str  # finished, or interrupted: also what stands here until the end
    operator: str
    source_host: str
    version: str
    git_revision: str
    packages: dict[str, str]
    python: str
    command_line: list[str]
    inventory: str
    site: str
    inventory_sha256: str
    standard_sha256: str
    overrides_sha256: str
    profile: str
    hosts_expression: str
    started: str
    ended: str = ""
    exit_status: int | None = None
    evidence_from: str = ""  # --evidence: no host was contacted, this file was judged again
    incomplete: list[str] = []  # why the run covers less than inventory and profile
    metadata: dict[str, str] = {}  # what the operator added with --metadata
    other_tests_failed: int = 0  # tests that judge no requirement, and failed
    cluster: str = ""  # its name: the inventory's cluster_name
    purpose: str = ""  # what it is for: the inventory's hale_purpose
    counts: dict[str, int] = {}  # of the results, by verdict; empty until the end


class EarlierRun(msgspec.Struct, frozen=True):
    """A finished audit of the same selection before this one. counts: of its results, by verdict.

    run: the name of its folder.
    """

    run: str
    started: str
    counts: dict[str, int]


class ReferenceRecord(msgspec.Struct, frozen=True):
    """A rule of another benchmark about the same thing as a requirement of this run.

    relation: equivalent, partial or conflicting (`hale.model.requirement.Relation`).
    """

    requirement: str
    benchmark: str
    id: str
    title: str
    relation: str


class Results(msgspec.Struct):
    """The file."""

    schema: str
    run: Run
    hosts: list[HostRecord]
    results: list[Result]
    deselected: list[RowKey]
    site_checks: list[SiteCheck] = []
    waivers: list[WaiverState] = []
    references: list[ReferenceRecord] = []
    guidance: list[Guidance] = []
    notices: list[Notice] = []
    drift: DriftRecord | None = None  # of a run with --drift
    history: list[EarlierRun] = []  # the newest first


def references_of(cases: Iterable[Case[Any]]) -> list[ReferenceRecord]:
    """The rules of other benchmarks that the cases' requirements name, each once."""
    requirements = {case.requirement.id: case.requirement for case in cases}
    return [
        ReferenceRecord(r.id, other.benchmark, other.id, other.title, other.relation.value)
        for r in requirements.values()
        for other in r.references
    ]


def unjudged(case: Case[Any], verdict: Verdict, actual: str) -> Result:
    """A result without evidence, for a case that was not judged or does not apply."""
    requirement = case.requirement
    return Result(
        host=case.host_name,
        requirement=requirement.id,
        aspect=case.aspect.value,
        verdict=verdict,
        chapter=requirement.chapter,
        title=requirement.title,
        subject=requirement.subject,
        severity=requirement.severity.value,
        profile=requirement.profile.value,
        expected=case.expected,
        actual=actual,
        test=case.nodeid,
        overrides=[
            OverrideRecord(o.parameter, o.standard, o.value, o.scope, str(o.where))
            for o in case.overrides
        ],
    )


def unverified_hosts(hosts: Iterable[HostRecord]) -> list[str]:
    """The hosts that answered over Hale's own connection without a key that known_hosts has."""
    return [h.name for h in hosts if h.transport == "hale" and not h.down and not h.host_key]


def result_of(
    case: Case[Any],
    verdict: Verdict,
    fact: Fact | None,
    reason: str,
    read: Iterable[HostView],
    duration: float,
) -> Result:
    """A result with what it rests on. `reason` stands where there is no fact to speak."""
    result = unjudged(case, verdict, reason if fact is None else fact.actual)
    result.duration = round(duration, 6)
    if fact is not None:
        result.value = fact.settled if isinstance(fact, SettledFact) else ""
        result.settings = [
            ConfigLineRecord(s.path, s.line, s.text, s.wins, s.changed, s.note)
            for s in fact.sources
        ]
    readings = list(read)
    decided = {setting.path for setting in result.settings}
    result.evidence = [e for r in readings for e in _evidence(r, len(readings) > 1, decided)]
    return result


def _evidence(readings: HostView, several: bool, decided: set[str]) -> Iterable[EvidenceExcerpt]:
    prefix = f"{readings.host}: " if several else ""
    for name, output in readings.used_outputs.items():
        text = output.stdout if output.exit_status == 0 else f"{output.stdout}{output.stderr}"
        yield EvidenceExcerpt(
            prefix + name, output.exit_status, _excerpt(text), utc(output.read_at)
        )
    for path, file in readings.used_files.items():
        most = EXCERPT_SECONDARY if decided and path not in decided else EXCERPT
        yield _file(prefix, file, most, utc(readings.read_at))
    if not readings.used_outputs and not readings.used_files and readings.without_match:
        first, *others = readings.without_match
        more = f" and {len(others)} more patterns" if others else ""
        yield EvidenceExcerpt(
            f"{prefix}{first}{more}", None, "(no such file)", utc(readings.read_at)
        )


@lru_cache(maxsize=1024)  # many rows rest on the same file
def _file(prefix: str, file: File, most: int, read_at: str) -> EvidenceExcerpt:
    if file.content is not None:
        text = "\n".join(file.content)
    else:
        text = f"({file.error or {'d': 'a directory'}.get(file.kind, 'not a file')})"
    link = f" -> {file.target}" if file.target else ""
    return EvidenceExcerpt(f"{prefix}{file.path}{link}", None, _excerpt(text, most), read_at)


def _excerpt(text: str, most: int = EXCERPT) -> str:
    return text if len(text) <= most else f"{text[:most]}… ({len(text)} characters)"


@lru_cache  # a host's readings all have the same time
def utc(seconds: float) -> str:
    """Seconds since the epoch as ISO 8601 in UTC; "" for 0."""
    if not seconds:
        return ""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"

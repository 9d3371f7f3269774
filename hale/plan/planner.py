"""The plan of `invoke fix`, made from an audit's results. Nothing is written to a host."""

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hale.audit.audit import Audit
from hale.audit.run import AuditResult
from hale.files import provenance
from hale.inventory.ini import Inventory
from hale.model import results
from hale.model.change import FileEdit, KernelValueChange, RestoreFile
from hale.model.errors import UserError
from hale.model.results import Results, RowKey
from hale.model.verdict import Verdict
from hale.paths import ROOT
from hale.plan import line_edit, plan
from hale.plan.plan import FailedCase, HostPlan, Plan
from hale.report.text import escape_lines
from hale.ssh import SessionPool
from hale.ssh.remote.files import FileUnreadable, read_files
from hale.standard import loader
from hale.standard.loader import Standard

# Subjects that show a host's place in its cluster.
MEMBERSHIP_SUBJECTS = ADDRESS, HOSTNAME = "address", "hostname"


def parse_only(words: str) -> list[str]:
    """The requirements that `--only` names. Raises UserError for an unknown one."""
    wanted = words.replace(",", " ").split()
    stated = {r.id for r in loader.load_standard(ROOT / "standard").requirements}
    for name in wanted:
        if name not in stated:
            raise UserError(f"--only: no requirement {name!r}; standard/ has them.")
    return wanted


def with_membership(only: Sequence[str], standard: Standard) -> frozenset[str]:
    """The requirements to audit for these; empty, which means all, if none is named.

    Always includes those that show which host is a node of a cluster and which has the VIP.
    """
    if not only:
        return frozenset()
    membership = {r.id for r in standard.requirements if r.subject in MEMBERSHIP_SUBJECTS}
    return frozenset(only) | membership


def build_plan(audited: AuditResult, sessions: SessionPool, only: Sequence[str] = ()) -> Plan:
    """The plan for what failed in that audit.

    sessions: to the inventory's hosts; the files to edit are read over them. only: the requirements
    to remediate; empty for all. Raises UserError if a host's file changes while it is read.
    """
    audit = audited.audit
    hosts = _hosts(audited, sessions, {h.name: only for h in audited.results.hosts})
    path = audit.inventory.path
    return plan.with_checksum(
        Plan(
            schema=plan.SCHEMA,
            author=provenance.operator(),
            created=results.utc(time.time()),
            inventory=str(path.resolve()),
            inventory_sha256=audit.inventory.sha256,
            standard_sha256=audit.standard.sha256,
            profile=audit.profile,
            hosts=tuple(hosts),
        )
    )


def plan_again(made: Plan, audited: AuditResult, sessions: SessionPool) -> dict[str, HostPlan]:
    """The plans of that plan's hosts as they are made now, of the requirements of its steps.

    Raises as build_plan does.
    """
    only = {
        host.host: [r for step in host.steps for r in step.requirements]
        for host in made.hosts
        if host.steps
    }
    return {host.host: host for host in _hosts(audited, sessions, only)} if only else {}


def _hosts(
    audited: AuditResult, sessions: SessionPool, only: Mapping[str, Sequence[str]]
) -> list[HostPlan]:
    """The plans of these hosts; of each, the requirements to remediate, empty for all."""

    def one(name: str) -> HostPlan:
        reader = file_reader(sessions, name)
        return _host(audited.audit, name, audited.results, only[name], reader)

    with ThreadPoolExecutor(max_workers=len(only)) as pool:
        return list(pool.map(one, only))


def require_same_inputs(made: Plan, known: Inventory, standard: Standard) -> None:
    """Raises UserError if the plan was made for another inventory or baseline."""
    if Path(made.inventory) != known.path.resolve():
        raise UserError(
            f"the plan was made for the inventory {made.inventory}, and this one is {known.path}. "
            "Plan again."
        )
    for what, planned, now in (
        (f"the inventory {known.path}", made.inventory_sha256, known.sha256),
        ("the baseline", made.standard_sha256, standard.sha256),
    ):
        if planned != now:
            raise UserError(f"{what} has changed since the plan was made. Plan again.")


def _host(
    audit: Audit, name: str, found: Results, only: Sequence[str], read: plan.FileReader
) -> HostPlan:
    rows = {r.test: r for r in found.results if r.host == name}
    failed, unknown = [], []
    for case in audit.cases:
        row = rows.get(case.nodeid)
        if row is None or (only and row.requirement not in only):
            continue
        if row.verdict is Verdict.FAIL:
            judged = audit.judge(case)
            assert judged.fact is not None  # the judge had it from the same evidence
            failed.append(FailedCase(judged.case, judged.fact))
        elif row.verdict is Verdict.UNKNOWN:
            unknown.append(RowKey(row.host, row.requirement, row.aspect))
    machine = next(h.machine_id for h in found.hosts if h.name == name)
    try:
        return plan.build_host_plan(name, machine, failed, unknown, read)
    except line_edit.LineMismatch as error:
        raise UserError(f"{name}: {error}. It is being changed now; plan again.") from None


def file_reader(sessions: SessionPool, name: str) -> plan.FileReader:
    """A function that reads a host's files over its session. Raises UserError for an unknown host;
    the function raises UserError for a file that it cannot read."""
    if name not in sessions.targets:
        raise UserError(f"{name} is not in the inventory: only its hosts can be fixed.")

    def read(paths: Sequence[str]) -> dict[str, bytes | None]:
        found: dict[str, bytes | None] = {}
        try:
            contents = read_files(sessions.session(name), paths)
        except FileUnreadable as error:
            raise UserError(f"{name}: {error}") from None
        for path, content in contents.items():
            if isinstance(content, FileUnreadable):
                raise UserError(f"{name}: {path}: {content}")
            found[path] = content
        return found

    return read


def render(made: Plan) -> Iterable[str]:
    """The plan as text; hosts with the same plan are grouped, control characters made visible."""
    hosts_of: dict[str, list[str]] = {}
    for host in made.hosts:
        hosts_of.setdefault("\n".join(_host_lines(host)), []).append(host.host)
    for text, names in hosts_of.items():
        yield f"── {', '.join(names)}"
        yield escape_lines(text)


def _host_lines(host: HostPlan) -> Iterable[str]:
    if not (host.steps or host.manual_steps or host.unknown):
        yield "   compliant; nothing to do"
    for step in host.steps:
        yield from _step(step)
    for note in host.manual_steps:
        yield f"   {note.requirement} {note.aspect}: manual step: {note.instructions}"
    for row in host.unknown:
        yield f"   {row.requirement} {row.aspect}: UNKNOWN, so nothing is planned for it"


def _step(step: plan.Step) -> Iterable[str]:
    change = step.change
    yield f"   {', '.join(step.requirements)}: {change.reason}"
    for effect in change.effects:
        yield f"     ! {effect}"
    of_file = isinstance(change, FileEdit | RestoreFile)  # nothing else has a difference
    lines = step.diff.split("\n") if step.diff and of_file else [change.describe()]
    yield from (f"     {line}" for line in lines)
    if isinstance(change, KernelValueChange):
        yield from (f"     then {path}: {value}" for path, value in change.write_after)

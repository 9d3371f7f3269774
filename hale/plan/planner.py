"""The plan of `invoke fix`: audit, then say what would change. Nothing is written to a host.

The audit is pytest's; the plan starts from its evidence and verdicts.
"""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hale import ssh
from hale.apply import executor
from hale.audit import evidence_file
from hale.audit.audit import Audit, hosts_in_evidence
from hale.files import provenance
from hale.inventory import ini
from hale.inventory.ini import Inventory
from hale.model import results
from hale.model.change import (
    Action,
    FileEdit,
    KernelValueChange,
    ModuleChange,
    RestoreFile,
    SwapOff,
    SwapOn,
    SymlinkChange,
    UnitChange,
)
from hale.model.errors import UserError
from hale.model.requirement import current_profile
from hale.model.results import Results, RowKey
from hale.model.verdict import Verdict
from hale.paths import ROOT
from hale.plan import line_edit, plan
from hale.plan.plan import FailedCase, HostPlan, Plan
from hale.ssh import preconnect
from hale.standard import loader

# Subjects that tell what a host is in its cluster.
MEMBERSHIP_SUBJECTS = ADDRESS, HOSTNAME = "address", "hostname"


def run_audit(
    path: Path | None,
    hosts: str,
    profile: str,
    reports: Path,
    marker: str = "",
    *,
    say: bool = True,
    timeout: float | None = None,
    here: bool = False,
) -> Path:
    """Run `pytest --hosts=…` and return its folder. Raises HaleError if no audit could be made.

    marker: only these tests, as `pytest -m`. say: let pytest talk. timeout: of a login, seconds.
    here: in this process, over the connections that it has (connection.kept), and in its main
    thread while no other thread prints; else in a process of its own, with logins of its own.
    """
    words = [
        str(ROOT / "checks"),
        f"--hosts={hosts}",
        f"--profile={current_profile(profile)}",
        f"--reports={reports}",
        f"--connect-timeout={preconnect.LOGIN_TIMEOUT:g}",
        "-qq",
    ]
    if path is not None:
        words.append(f"--inventory={path.absolute()}")
    if timeout is not None:
        words.append(f"--connect-timeout={timeout:g}")
    if marker:
        words.append(f"-m={marker}")
    before = set(reports.glob("*-audit*"))
    status = _in_process(words, say=say) if here else _in_subprocess(words, say=say)
    made = sorted(set(reports.glob("*-audit*")) - before)
    if status not in (0, 1) or not made:
        raise UserError("the audit could not be made, so nothing can be planned; see above.")
    return made[-1]


def _in_subprocess(words: Sequence[str], *, say: bool) -> int:
    """pytest's exit status, in a process of its own."""
    command = [str(Path(sys.executable).parent / "pytest"), *words]
    out = None if say else subprocess.DEVNULL
    return subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, check=False
    ).returncode


class _InterruptFlag:
    """Tells Ctrl-C from whatever else makes pytest stop; it says the same of both."""

    pressed = False

    def pytest_keyboard_interrupt(self, excinfo: Any) -> None:
        self.pressed = excinfo.errisinstance(KeyboardInterrupt)


def _in_process(words: Sequence[str], *, say: bool) -> int:
    """pytest's exit status, in this process. Raises KeyboardInterrupt."""
    import pytest

    watch = _InterruptFlag()
    ours = [
        f"--rootdir={ROOT}",
        f"-c={ROOT / 'pytest.ini'}",
        # Nothing of ours prints, and what it reads of the terminal stays with whoever types.
        "--capture=no",
        # The second time all is imported already.
        "-W=ignore::pytest.PytestAssertRewriteWarning",
    ]
    with contextlib.ExitStack() as stack:
        if not say:
            nowhere = stack.enter_context(Path(os.devnull).open("w"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
        status = pytest.main([*words, *ours], plugins=[watch])
    if watch.pressed:
        raise KeyboardInterrupt
    return int(status)


def parse_only(words: str) -> list[str]:
    """The requirements that `--only` names. Raises HaleError for one that there is not."""
    wanted = words.replace(",", " ").split()
    stated = {r.id for r in loader.load_standard(ROOT / "standard").requirements}
    for name in wanted:
        if name not in stated:
            raise UserError(f"--only: no requirement {name!r}; standard/ has them.")
    return wanted


def marker_expression(only: Sequence[str]) -> str:
    """What `pytest -m` must select for these requirements; nothing, so all, where none is named.

    Always with them: what tells which host is a node of a cluster, and who has the VIP.
    """
    if not only:
        return ""
    stated = loader.load_standard(ROOT / "standard").requirements
    subjects = {r.subject for r in stated if r.id in only} | set(MEMBERSHIP_SUBJECTS)
    return " or ".join(sorted(subjects))


def build_plan(run: Path, only: Sequence[str] = ()) -> Plan:
    """The plan for what the audit in that folder found red.

    only: the requirements to mend, all where empty. Raises HaleError when a host's file changes
    while it is read.
    """
    found = results.load_results(run / "results.json")
    saved = evidence_file.load_evidence(run / "evidence.json")
    judged = replay(run)
    known, stated = judged.inventory, judged.standard
    preconnect.register_targets(known)
    names = _order(found)

    def one(name: str) -> HostPlan:
        return _host(judged, name, found, only, file_reader(known, name))

    with ThreadPoolExecutor(max_workers=len(names)) as pool:
        hosts = list(pool.map(one, names))
    return plan.with_checksum(
        Plan(
            schema=plan.SCHEMA,
            author=provenance.operator(),
            created=results.utc(time.time()),
            inventory=saved.inventory,
            inventory_sha256=saved.inventory_sha256,
            standard_sha256=stated.sha256,
            profile=saved.profile,
            hosts=tuple(hosts),
        )
    )


def replay(run: Path) -> Audit:
    """The audit of that folder, from its evidence, with inventory and standard as they are now."""
    saved = evidence_file.load_evidence(run / "evidence.json")
    known = ini.load_inventory(Path(saved.inventory))
    stated = loader.load_standard(ROOT / "standard")
    chosen = hosts_in_evidence(saved, known)
    return Audit(known, stated, saved.profile, chosen, _no_transport, 0.0, saved.hosts)


def _no_transport(_: Any) -> Any:
    raise AssertionError("a plan is made from evidence")


def _order(found: Results) -> list[str]:
    return [h.name for h in found.hosts]


def _host(
    judged: Audit, name: str, found: Results, only: Sequence[str], read: plan.FileReader
) -> HostPlan:
    rows = {r.test: r for r in found.results if r.host == name}
    red, unknown = [], []
    for case in judged.cases:
        row = rows.get(case.nodeid)
        if row is None or (only and row.requirement not in only):
            continue
        if row.verdict is Verdict.FAIL:
            fact = judged.judge(case).fact
            assert fact is not None  # the same evidence has made it FAIL
            red.append(FailedCase(case, fact))
        elif row.verdict is Verdict.UNKNOWN:
            unknown.append(RowKey(row.host, row.requirement, row.aspect))
    machine = next(h.machine_id for h in found.hosts if h.name == name)
    try:
        return plan.build_host_plan(name, machine, red, unknown, read)
    except line_edit.LineMismatch as error:
        raise UserError(f"{name}: {error}. Somebody is changing it now; plan again.") from None


def file_reader(known: Inventory, name: str) -> plan.FileReader:
    """Reads a host's files over our own connection. Raises HaleError for one that it cannot."""
    if all(h.name != name for h in known.hosts):
        raise UserError(f"{name} is not in the inventory: only its hosts can be mended.")

    def read(paths: Sequence[str]) -> dict[str, bytes | None]:
        found: dict[str, bytes | None] = {}
        for path, content in executor.read_files(ssh.session_for(name), paths).items():
            if isinstance(content, executor.StepFailed):
                raise UserError(f"{name}: {path}: {content}")
            found[path] = content
        return found

    return read


def render(made: Plan) -> Iterable[str]:
    """The plan for people; hosts with the same plan are told together."""
    told: dict[str, list[str]] = {}
    for host in made.hosts:
        told.setdefault("\n".join(_host_lines(host)), []).append(host.host)
    for text, names in told.items():
        yield f"── {', '.join(names)}"
        yield text


def _host_lines(host: HostPlan) -> Iterable[str]:
    if not (host.steps or host.manual_steps or host.unknown):
        yield "   as the standard says; nothing to do"
    for step in host.steps:
        yield from _step(step)
    for note in host.manual_steps:
        yield f"   {note.requirement} {note.aspect}: by hand: {note.instructions}"
    for row in host.unknown:
        yield f"   {row.requirement} {row.aspect}: UNKNOWN, so nothing is planned for it"


def _step(step: plan.Step) -> Iterable[str]:
    change = step.change
    yield f"   {', '.join(step.requirements)}: {change.reason}"
    for effect in getattr(change, "effects", ()):
        yield f"     ! {effect}"
    yield from (
        f"     {line}" for line in (step.diff.split("\n") if step.diff else [describe(change)])
    )


def describe(change: Action) -> str:
    """A change as a command would do it, in one line."""
    match change:
        case FileEdit(path=path):
            return f"edit {path}"
        case RestoreFile(path=path, sha256=sha256):
            return f"restore {path}" if sha256 else f"remove {path}"
        case KernelValueChange():
            return f"{change.path}: {change.precondition} -> {change.value}"
        case SymlinkChange(target=None):
            return f"remove the link {change.path}"
        case SymlinkChange():
            return f"{change.path} -> {change.target}"
        case UnitChange():
            return f"systemctl {change.action} {change.unit}"
        case SwapOff():
            return f"swapoff {change.device}"
        case SwapOn():
            return f"swapon {change.device}"
        case ModuleChange():
            return f"modprobe {'' if change.load else '-r '}{change.name}"

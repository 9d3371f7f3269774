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

from hale import (
    connection,
    edit,
    evidence,
    inventory,
    logins,
    plan,
    provenance,
    results,
    standard,
)
from hale.apply import writer
from hale.audit import Audit, fact, from_evidence
from hale.change import (
    Doable,
    FileChange,
    LinkChange,
    ModuleChange,
    Restore,
    SwapChange,
    SwapOn,
    UnitChange,
    ValueChange,
)
from hale.errors import HaleError
from hale.inventory import Inventory
from hale.plan import HostPlan, Plan, Red
from hale.results import Results, Row
from hale.verdicts import Verdict

# Subjects that tell what a host is in its cluster.
STANDING = ADDRESS, HOSTNAME = "address", "hostname"


def audit(
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
        str(provenance.ROOT / "checks"),
        f"--hosts={hosts}",
        f"--profile={profile}",
        f"--reports={reports}",
        f"--connect-timeout={logins.PATIENCE:g}",
        "-qq",
    ]
    if path is not None:
        words.append(f"--inventory={path.absolute()}")
    if timeout is not None:
        words.append(f"--connect-timeout={timeout:g}")
    if marker:
        words.append(f"-m={marker}")
    before = set(reports.glob("*-audit*"))
    status = _here(words, say=say) if here else _process(words, say=say)
    made = sorted(set(reports.glob("*-audit*")) - before)
    if status not in (0, 1) or not made:
        raise HaleError("the audit could not be made, so nothing can be planned; see above.")
    return made[-1]


def _process(words: Sequence[str], *, say: bool) -> int:
    """pytest's exit status, in a process of its own."""
    command = [str(Path(sys.executable).parent / "pytest"), *words]
    out = None if say else subprocess.DEVNULL
    return subprocess.run(
        command, cwd=provenance.ROOT, stdin=subprocess.DEVNULL, stdout=out, check=False
    ).returncode


class _CtrlC:
    """Tells Ctrl-C from whatever else makes pytest stop; it says the same of both."""

    pressed = False

    def pytest_keyboard_interrupt(self, excinfo: Any) -> None:
        self.pressed = excinfo.errisinstance(KeyboardInterrupt)


def _here(words: Sequence[str], *, say: bool) -> int:
    """pytest's exit status, in this process. Raises KeyboardInterrupt."""
    import pytest

    watch = _CtrlC()
    ours = [
        f"--rootdir={provenance.ROOT}",
        f"-c={provenance.ROOT / 'pytest.ini'}",
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


def requirements(words: str) -> list[str]:
    """The requirements that `--only` names. Raises HaleError for one that there is not."""
    wanted = words.replace(",", " ").split()
    stated = {r.id for r in standard.load(provenance.ROOT / "standard").requirements}
    for name in wanted:
        if name not in stated:
            raise HaleError(f"--only: no requirement {name!r}; standard/ has them.")
    return wanted


def marker(only: Sequence[str]) -> str:
    """What `pytest -m` must select for these requirements; nothing, so all, where none is named.

    Always with them: what tells which host is a node of a cluster, and who has the VIP.
    """
    if not only:
        return ""
    stated = standard.load(provenance.ROOT / "standard").requirements
    subjects = {r.subject for r in stated if r.id in only} | set(STANDING)
    return " or ".join(sorted(subjects))


def make(run: Path, only: Sequence[str] = ()) -> Plan:
    """The plan for what the audit in that folder found red.

    only: the requirements to mend, all where empty. Raises HaleError when a host's file changes
    while it is read.
    """
    found = results.load(run / "results.json")
    saved = evidence.load(run / "evidence.json")
    judged = judged_again(run)
    known, stated = judged.inventory, judged.standard
    logins.connect(known)
    names = _order(found)

    def one(name: str) -> HostPlan:
        return _host(judged, name, found, only, reader(known, name))

    with ThreadPoolExecutor(max_workers=len(names)) as pool:
        hosts = list(pool.map(one, names))
    return plan.sealed(
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


def judged_again(run: Path) -> Audit:
    """The audit of that folder, from its evidence, with inventory and standard as they are now."""
    saved = evidence.load(run / "evidence.json")
    known = inventory.load(Path(saved.inventory))
    stated = standard.load(provenance.ROOT / "standard")
    chosen = from_evidence(saved, known)
    return Audit(known, stated, saved.profile, chosen, _no_transport, 0.0, saved.hosts)


def _no_transport(_: Any) -> Any:
    raise AssertionError("a plan is made from evidence")


def _order(found: Results) -> list[str]:
    return [h.name for h in found.hosts]


def _host(
    judged: Audit, name: str, found: Results, only: Sequence[str], read: plan.Contents
) -> HostPlan:
    rows = {r.test: r for r in found.results if r.host == name}
    red, unknown = [], []
    for case in judged.cases:
        row = rows.get(case.nodeid)
        if row is None or (only and row.requirement not in only):
            continue
        if row.verdict is Verdict.FAIL:
            readings, _ = judged.read(case)
            red.append(Red(case, fact(case, readings)))
        elif row.verdict is Verdict.UNKNOWN:
            unknown.append(Row(row.host, row.requirement, row.aspect))
    machine = next(h.machine_id for h in found.hosts if h.name == name)
    try:
        return plan.host_plan(name, machine, red, unknown, read)
    except edit.Moved as error:
        raise HaleError(f"{name}: {error}. Somebody is changing it now; plan again.") from None


def reader(known: Inventory, name: str) -> plan.Contents:
    """Reads a host's files over our own connection. Raises HaleError for one that it cannot."""
    if all(h.name != name for h in known.hosts):
        raise HaleError(f"{name} is not in the inventory: only its hosts can be mended.")

    def read(paths: Sequence[str]) -> dict[str, bytes | None]:
        found: dict[str, bytes | None] = {}
        for path, content in writer.read(connection.session_for(name), paths).items():
            if isinstance(content, writer.Failed):
                raise HaleError(f"{name}: {path}: {content}")
            found[path] = content
        return found

    return read


def lines(made: Plan) -> Iterable[str]:
    """The plan for people; hosts with the same plan are told together."""
    told: dict[str, list[str]] = {}
    for host in made.hosts:
        told.setdefault("\n".join(_host_lines(host)), []).append(host.host)
    for text, names in told.items():
        yield f"── {', '.join(names)}"
        yield text


def _host_lines(host: HostPlan) -> Iterable[str]:
    if not (host.steps or host.by_hand or host.unknown):
        yield "   as the standard says; nothing to do"
    for step in host.steps:
        yield from _step(step)
    for note in host.by_hand:
        yield f"   {note.requirement} {note.aspect}: by hand: {note.what}"
    for row in host.unknown:
        yield f"   {row.requirement} {row.aspect}: UNKNOWN, so nothing is planned for it"


def _step(step: plan.Step) -> Iterable[str]:
    change = step.change
    yield f"   {', '.join(step.requirements)}: {getattr(change, 'why', '')}"
    for effect in getattr(change, "effects", ()):
        yield f"     ! {effect}"
    yield from (
        f"     {line}" for line in (step.diff.split("\n") if step.diff else [shown(change)])
    )


def shown(change: Doable) -> str:
    """A change as a command would do it, in one line."""
    match change:
        case FileChange(path=path):
            return f"edit {path}"
        case Restore(path=path, sha256=sha256):
            return f"restore {path}" if sha256 else f"remove {path}"
        case ValueChange():
            return f"{change.path}: {change.expect} -> {change.value}"
        case LinkChange(target=None):
            return f"remove the link {change.path}"
        case LinkChange():
            return f"{change.path} -> {change.target}"
        case UnitChange():
            return f"systemctl {change.verb} {change.unit}"
        case SwapChange():
            return f"swapoff {change.device}"
        case SwapOn():
            return f"swapon {change.device}"
        case ModuleChange():
            return f"modprobe {'' if change.load else '-r '}{change.name}"

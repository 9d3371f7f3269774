"""Every way out of a command closes its sessions: none may outlive it.

The commands run with sessions that reach no host, and with each of their parts replaced by one that
uses the sessions and then returns or raises.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from hale.apply import cluster_lock, execution, run_journals, trial, trial_end, undo_workflow
from hale.apply import workflow as apply
from hale.apply.journal import NAME, Journal, RunFinished, RunState, TrialStarted, now
from hale.apply.lock import Owner
from hale.apply.options import ApplyOptions
from hale.apply.prepared import StepFailed
from hale.apply.trial import TrialReply
from hale.audit import recorder
from hale.audit.cases import build_cases
from hale.audit.recorder import create_run_dir
from hale.drill import cluster_audit
from hale.drill import interrupted as interrupted_drills
from hale.drill import runner as drill_runner
from hale.drill import workflow as drill
from hale.drill.fault import Fault
from hale.drill.journal import SCHEMA, DrillHeader, DrillJournal
from hale.drill.options import DrillOptions
from hale.files import manifest
from hale.install import (
    engine,
    final_audit,
    host_requirements,
    joined,
    kubeconfig,
    phase_run,
    plan_view,
    preflight,
    reset,
    session_leases,
)
from hale.install import workflow as install
from hale.install.cluster_context import ClusterContext
from hale.install.engine import PhaseFailed
from hale.install.federation import membership
from hale.install.federation.membership import FederationOptions
from hale.install.joined import InstallAborted
from hale.install.observe import HostsUnreachable
from hale.install.options import InstallOptions
from hale.install.reset import Reset
from hale.inventory import ini
from hale.inventory.ini import Inventory
from hale.model import results
from hale.model.change import FileEdit
from hale.model.drill import FaultKind
from hale.model.errors import UserError
from hale.model.verdict import Verdict
from hale.paths import ROOT
from hale.plan import plan
from hale.plan.plan import HostPlan, Plan, Step
from hale.report.change.model import TrialState
from hale.ssh import CommandResult, HostUnreachable, SessionPool, Target, pool
from hale.ssh.inventory_targets import LoginOptions
from hale.standard import loader

INVENTORY = """\
[masters]
m1 ansible_host=127.0.0.1
m2 ansible_host=127.0.0.3
[all:vars]
hale_environment=lab
cluster_name=test
vip=127.0.0.2
vip_port=6443
vip_names=api
"""
OPENED: list["Pretended"] = []
STANDARD = loader.load_standard(ROOT / "standard")


class Pretended:
    """A session that reaches no host, and remembers whether it was closed."""

    login_user = host_key = None
    answer: CommandResult | None = None  # None: unreachable

    def __init__(self, target: Target) -> None:
        self.target = target
        self.closed = False
        OPENED.append(self)

    def start(self) -> None:
        pass

    def run(self, *_: Any, **__: Any) -> CommandResult:
        if self.answer is None:
            raise HostUnreachable(f"{self.target.name}: no route to host")
        return self.answer

    def begin_close(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


@dataclass
class Site:
    """An inventory, a folder for reports, and what stands for the parts of a command."""

    path: Path
    reports: Path
    patch: pytest.MonkeyPatch
    broken: str = ""  # the part that raises `error`
    error: BaseException = field(default_factory=RuntimeError)
    reached: bool = False  # whether that part was called
    ends: RunState | None = None  # the last entry of the journal of a fix or an undo

    @property
    def inventory(self) -> Inventory:
        return ini.load_inventory(self.path)

    def parts(self, module: Any, results: Mapping[str, Any]) -> None:
        """Replace functions of a module: each uses the sessions it is given, and returns that."""
        for name, result in results.items():
            owner, _, attribute = name.rpartition(".")
            found = getattr(module, owner) if owner else module
            self.patch.setattr(found, attribute, self._part(name, result))

    def _part(self, name: str, result: Any) -> Callable[..., Any]:
        def part(*args: Any, **kwargs: Any) -> Any:
            for given in (*args, *kwargs.values()):
                if isinstance(given, SessionPool):
                    given.start(given.targets)
            if name == self.broken:
                self.reached = True
                raise self.error
            return result() if callable(result) else result

        return part

    def folder(self) -> Path:
        return create_run_dir(self.reports, "audit")

    def audited(self) -> Any:
        """What an audit returns."""
        audit = SimpleNamespace(
            inventory=self.inventory, standard=STANDARD, profile="baseline", cases=()
        )
        hosts = [SimpleNamespace(name=h.name, down="", machine_id="") for h in self.inventory.hosts]
        found = SimpleNamespace(hosts=hosts, results=[], run=SimpleNamespace(exit_status=0))
        return SimpleNamespace(audit=audit, results=found, folder=self.folder())


@contextlib.contextmanager
def nothing(*_: Any, **__: Any) -> Iterator[None]:
    yield


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    OPENED.clear()
    for module in (pool, session_leases):
        monkeypatch.setattr(module, "Session", Pretended)
    monkeypatch.setattr(loader, "load_standard", lambda _: STANDARD)
    path, reports = tmp_path / "inventory.ini", tmp_path / "reports"
    path.write_text(INVENTORY)
    reports.mkdir()
    yield Site(path, reports, monkeypatch)
    assert OPENED, "no session was opened, so nothing is proven"
    assert not [s.target.name for s in OPENED if not s.closed], "sessions were left open"


def made(site: Site) -> Plan:
    step = Step(("SWAP-OFF",), FileEdit("/etc/fstab", (), "it names a swap"))
    return plan.with_checksum(
        Plan(
            schema=plan.SCHEMA,
            author="test",
            created="",
            inventory=str(site.path),
            inventory_sha256="",
            standard_sha256="",
            profile="baseline",
            hosts=(HostPlan("m1", "", (step,), (), ()),),
        )
    )


# --- fix and undo ---


def of_apply(site: Site) -> ApplyOptions:
    """The options of a fix, and all its parts."""
    known = site.inventory
    after = site.audited().results
    for module in (apply, undo_workflow):
        site.parts(
            module,
            {
                "audit": site.audited,
                "confirm_plan": None,
                "check_machine_ids": lambda: made(site),
                "audit_after": after,
                "print_verdicts": True,
            },
        )
    site.parts(
        apply,
        {
            "planner.build_plan": lambda: made(site),
            "planner.require_same_inputs": None,
            "_compare": {},
            "scope.check_plan": None,
        },
    )
    site.parts(
        execution,
        {
            "cluster_lock.locks_held": nothing,
            "trial_end.cancel": None,
            "PlanRunner": lambda: SimpleNamespace(run=lambda: True),
        },
    )
    if site.ends:
        site.patch.setattr(execution, "PlanRunner", partial(Ended, site.ends))
    return ApplyOptions(site.reports, known.path)


def undo(site: Site, **history: Any) -> object:
    options = of_apply(site)
    header = SimpleNamespace(kind="fix", inventory=str(site.path), run="earlier")
    begun = {("m1", 1): None}
    ended = SimpleNamespace(**{
        "header": header, "begun": begun, "open": [], "end": "", "cordoned": {}, "open_trials": [],
        "folder": site.reports, **history,
    })  # fmt: skip
    site.parts(
        undo_workflow,
        {
            "run_journals.find_run": ended,
            "undo_scope.check_begun": None,
            "undo_scope.check_undo": (),
            "undo_scope.check_records": None,
            "recovery.recover_run": None,
            "journal.is_running": False,
            "journal.load_run": ended,
            "plan.load_plan": lambda: made(site),
            "undo.build_undo_plan": lambda: made(site),
            "undo.with_diffs": lambda: (made(site), []),
        },
    )
    return undo_workflow.undo_run(options, "earlier")


def confirm(site: Site) -> object:
    """Of a run on trial whose host is not reached."""
    folder = site.reports / "earlier"
    folder.mkdir()
    owner = Owner("me", "here", "earlier", now())
    header = run_journals.journal_header(owner, "fix", site.path, approved_by="", ticket="")
    with contextlib.closing(Journal(folder, header)) as book:
        book.write(TrialStarted("m1", 600, now(), now()))
    site.parts(cluster_lock, {"locks_held": nothing})
    site.parts(trial, {"end": TrialReply(TrialState.CONFIRMED, "")})
    return trial_end.confirm_run(folder, LoginOptions(), lambda host, text: None)


def fix(site: Site) -> object:
    return apply.apply_fix(of_apply(site), ["SWAP-OFF"], None)


def fix_approved(site: Site) -> object:
    options = of_apply(site)
    saved = site.reports / "plan.json"
    plan.save_plan(made(site), saved)
    return apply.apply_fix(options, [], saved)


def plan_of_fix(site: Site) -> object:
    return apply.plan_fix(of_apply(site), ["SWAP-OFF"])


# --- install, its plan, reset and kubeconfig ---


def all_joined(context: ClusterContext, sessions: SessionPool) -> frozenset[str]:
    """As joined_hosts, over a session to each host."""
    for host in context.hosts:
        sessions.session(host.name).run("true")
    return frozenset(h.name for h in context.hosts)


def of_install(site: Site, module: Any) -> InstallOptions:
    """The options of an install or a reset, and the parts that both have."""
    site.patch.setattr(Pretended, "answer", CommandResult(0, b"0\n", b"", 0.0))
    context = ClusterContext(site.inventory, "", 1)
    for name in ("load_context", "load_cluster_context"):
        site.patch.setattr(module, name, lambda *_: context, raising=False)
    site.parts(cluster_lock, {"locks_held": nothing})
    site.parts(recorder, {"create_run_dir": site.folder})
    site.parts(engine, {"Engine.carry_out": None, "Engine.run_batches": ()})
    for planner in (host_requirements, plan_view):
        site.parts(planner, {"unsupported": ()})
    for planner in (phase_run, plan_view):
        site.parts(planner, {"phase_statuses": []})
    for planner in (install, phase_run, plan_view):
        site.patch.setattr(planner, "joined_hosts", all_joined)
    site.parts(joined, {"phase_statuses": []})
    # Seconds: these hosts never become healthy.
    site.patch.setattr(final_audit, "SETTLE_TIMEOUT", 0.0)
    return InstallOptions(site.reports, site.path, fix=True, yes=True)


def passed(site: Site) -> preflight.PreflightResult:
    """A preflight without a failure."""
    return preflight.PreflightResult(site.folder(), None, (), (), ())


def install_all(site: Site) -> object:
    options = of_install(site, install)
    site.parts(host_requirements, {"preflight.run_preflight": lambda: passed(site)})
    site.parts(final_audit, {"audit": site.audited})
    return install.install_cluster(options)


def install_after_fix(site: Site) -> object:
    """An install whose preflight fails first, of something that a fix remedies."""
    options = of_install(site, install)
    known = site.inventory
    case = next(iter(build_cases(known, STANDARD, "baseline", known.hosts)))
    row = results.unjudged(case, Verdict.FAIL, "no")
    failed = preflight.PreflightResult(site.folder(), None, (row,), (), ())
    remaining = [failed]
    site.parts(
        host_requirements,
        {
            "preflight.run_preflight": lambda: remaining.pop() if remaining else passed(site),
            "apply.apply_fix": True,
        },
    )
    site.parts(final_audit, {"audit": site.audited})
    return install.install_cluster(options)


def install_one(site: Site) -> object:
    options = replace(of_install(site, install), phase="init")
    return install.install_cluster(options)


def plan_of_install(site: Site) -> None:
    options = of_install(site, plan_view)
    site.parts(plan_view, {"preflight.run_preflight": lambda: passed(site)})
    plan_view.print_plan(options)


def reset_all(site: Site) -> object:
    options = of_install(site, reset)
    module = SimpleNamespace(
        foreign=lambda *_: "",
        quorum_loss=lambda *_: "",
        kept=lambda *_: (),
        batches=lambda *_, **__: (),
        remaining=lambda *_: (),
    )
    site.patch.setattr(reset, "importlib", SimpleNamespace(import_module=lambda _: module))
    site.parts(reset, {"observe": (None,)})
    return reset.reset_cluster(options, Reset("test"))


def fetch(site: Site) -> None:
    of_install(site, install)
    site.parts(kubeconfig, {"atomic.write": None})
    kubeconfig.kubeconfig(site.path, site.reports / "admin.conf")


# --- federation ---


def of_federation(site: Site) -> FederationOptions:
    """The options of a join or a leave, and the parts that both have."""
    of_install(site, install)
    second = site.reports / "second.ini"
    second.write_text(INVENTORY.replace("127.0.0.", "127.0.1.").replace("=test", "=second"))
    member = "uid u-1\npod 127.0.1.9\nend\n"
    site.parts(
        membership,
        {
            "state.range_refusals": list,
            "Clusters.on_host": "uid u-0\nmember known u-2-\npod 127.0.0.9\nend\n",
            "Clusters.on_member": member,
            "_unreached": list,
            "_carry_out": None,
        },
    )
    return FederationOptions(site.path, second, yes=True)


def join_one(site: Site) -> None:
    membership.join(of_federation(site))


def leave_one(site: Site) -> None:
    options = of_federation(site)
    site.parts(membership, {"state.leave_refusals": list})
    membership.leave(options)


# --- drill ---


def of_drill(site: Site) -> DrillOptions:
    """The options of a drill, and all its parts."""
    fault = Fault(FaultKind.ETCD, "m1")
    site.parts(cluster_audit, {"audit": site.audited})
    site.parts(interrupted_drills, {"locks_held": nothing, "revert.revert_all": list})
    site.parts(drill, {"wait_until_healthy": ([], None)})
    site.parts(
        drill_runner,
        {
            "require_healthy": None,
            "find_roles": None,
            "is_inconclusive": False,
            "locks_held": nothing,
            "DrillRunner._select": (fault,),
            "DrillRunner._confirm": None,
            "DrillRunner._drills": None,
            "DrillRunner._revert": list,
            "wait_until_healthy": ([], None),
            "drill_page.build_results": lambda: site.audited().results,
            "drill_page.save": None,
            "DrillRunner._show": None,
        },
    )
    return DrillOptions("etcd", site.reports, site.path, yes=True)


def drill_one(site: Site) -> object:
    return drill.run_drills(of_drill(site))


def member_of(site: Site) -> Path:
    """The inventory of another cluster."""
    path = site.reports / "second.ini"
    text = INVENTORY.replace("m1 ", "b1 ").replace("m2 ", "b2 ").replace("127.0.0.", "127.0.1.")
    path.write_text(text)
    return path


def drill_member(site: Site) -> object:
    return drill.run_drills(replace(of_drill(site), faults="member", member=member_of(site)))


def revert_member(site: Site) -> object:
    return drill.revert_only(interrupted(site, str(member_of(site))))


def interrupted(site: Site, member: str = "") -> DrillOptions:
    """A drill was interrupted before."""
    options = of_drill(site)
    folder = site.reports / "earlier"
    folder.mkdir()
    owner = Owner("me", "here", "earlier", now())
    header = DrillHeader(SCHEMA, owner, str(site.path.resolve()), (), False, member)
    DrillJournal(folder, header).close()
    return options


def drill_after_another(site: Site) -> object:
    return drill.run_drills(interrupted(site))


def revert_another(site: Site) -> object:
    return drill.revert_only(interrupted(site))


COMMANDS: dict[Callable[[Site], object], Sequence[str]] = {
    fix: (
        "audit", "planner.build_plan", "confirm_plan", "cluster_lock.locks_held", "PlanRunner",
        "audit_after", "print_verdicts",
    ),
    fix_approved: ("audit", "check_machine_ids", "PlanRunner"),
    plan_of_fix: ("audit", "planner.build_plan"),
    confirm: ("locks_held", "end"),
    undo: (
        "undo.with_diffs", "confirm_plan", "audit", "check_machine_ids", "cluster_lock.locks_held",
        "trial_end.cancel", "PlanRunner", "audit_after", "print_verdicts",
    ),
    install_all: (
        "create_run_dir", "unsupported", "preflight.run_preflight", "locks_held",
        "Engine.carry_out", "audit",
    ),
    install_after_fix: ("preflight.run_preflight", "apply.apply_fix", "Engine.carry_out"),
    install_one: ("locks_held", "phase_statuses", "Engine.carry_out"),
    plan_of_install: ("unsupported", "create_run_dir", "preflight.run_preflight", "phase_statuses"),
    reset_all: ("create_run_dir", "locks_held", "observe", "Engine.run_batches"),
    fetch: ("atomic.write",),
    join_one: (
        "Clusters.on_host", "Clusters.on_member", "state.range_refusals", "_unreached",
        "_carry_out",
    ),
    leave_one: ("Clusters.on_host", "Clusters.on_member", "_carry_out"),
    drill_one: (
        "audit", "require_healthy", "find_roles", "DrillRunner._select", "DrillRunner._confirm",
        "locks_held", "DrillRunner._drills", "DrillRunner._revert", "wait_until_healthy",
        "drill_page.build_results", "drill_page.save", "DrillRunner._show",
    ),
    drill_member: ("audit", "DrillRunner._select", "locks_held", "DrillRunner._drills"),
    revert_member: ("locks_held", "revert.revert_all"),
    drill_after_another: ("locks_held", "revert.revert_all", "audit"),
    revert_another: ("locks_held", "revert.revert_all", "wait_until_healthy"),
}  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_at_the_end(site: Site, command: Callable[[Site], object]) -> None:
    command(site)


@pytest.mark.parametrize("error", [UserError, KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize(
    ("command", "part"), [(c, part) for c, parts in COMMANDS.items() for part in parts]
)
def test_when_a_part_raises(
    site: Site, command: Callable[[Site], object], part: str, error: type[BaseException]
) -> None:
    site.broken, site.error = part, error("no")
    with contextlib.suppress(UserError, KeyboardInterrupt, RuntimeError):
        command(site)
    assert site.reached, f"{part} was not called"


@pytest.mark.parametrize(
    "error",
    [InstallAborted(), PhaseFailed("init", "no"), HostsUnreachable("m1: no route to host")],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("command", [install_all, reset_all])
def test_when_an_install_stops(
    site: Site, command: Callable[[Site], object], error: Exception
) -> None:
    site.broken = "Engine.carry_out" if command is install_all else "Engine.run_batches"
    site.error = error
    with contextlib.suppress(KeyboardInterrupt):
        assert not command(site)
    assert site.reached


@pytest.mark.parametrize("command", [install_all, plan_of_install, reset_all, fetch, join_one])
def test_when_no_host_is_reachable(site: Site, command: Callable[[Site], object]) -> None:
    def unreachable(*_: Any, **__: Any) -> NoReturn:
        raise HostUnreachable("m1: no route to host")

    site.patch.setattr(Pretended, "run", unreachable)
    with pytest.raises(UserError, match="no route to host"):
        command(site)


def test_undo_of_a_run_that_was_cut_off(site: Site) -> None:
    site.broken, site.error = "recovery.recover_run", UserError("m1 must say how far it came")
    with pytest.raises(UserError, match="must say"):
        undo(site, end=None)


def test_undo_of_what_was_changed_since(site: Site) -> None:
    site.broken, site.error = "undo.with_diffs", StepFailed("no such backup")
    with pytest.raises(UserError, match="cannot be read"):
        undo(site)


class Ended:
    """As PlanRunner: its run ends at once, well or with a host that failed."""

    def __init__(self, state: RunState, *, journal: Journal, **_: Any) -> None:
        self.state = state
        self.book = journal

    def run(self) -> bool:
        self.book.write(RunFinished(self.state, now()))
        return self.state is RunState.FINISHED


@pytest.mark.parametrize("state", [RunState.FINISHED, RunState.FAILED])
@pytest.mark.parametrize("command", [fix, undo])
def test_a_change_ends_with_its_manifest(
    site: Site, command: Callable[[Site], object], state: RunState
) -> None:
    site.ends = state
    command(site)
    (folder,) = site.reports.glob(f"*-{command.__name__}")
    assert manifest.differences(folder, manifest.read(folder)) == []
    assert b"  change.html\n" in manifest.read(folder)


@pytest.mark.parametrize("command", [install_one, reset_all])
def test_an_install_and_a_reset_end_with_their_manifest(
    site: Site, command: Callable[[Site], object]
) -> None:
    command(site)
    (folder,) = (path.parent for path in site.reports.glob(f"*/{NAME}"))
    assert manifest.differences(folder, manifest.read(folder)) == []

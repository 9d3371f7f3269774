"""A join and a leave: read both clusters, show what would be done, ask, and do it."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path

from hale.apply import cluster_lock, run_journals, sealing
from hale.apply.cluster_lock import HostLocks
from hale.apply.journal import Journal
from hale.apply.lock import Owner
from hale.apply.reporter import console_reporter
from hale.audit import recorder
from hale.install import change_page
from hale.install.federation import state
from hale.install.federation.clusters import HERE, Clusters, open_clusters, run_on
from hale.install.federation.state import FederationHost, FederationMember, Refusal
from hale.install.federation.steps import FederationStep, join_steps, leave_steps, take
from hale.inventory.ini import Inventory
from hale.model.address import url_host
from hale.model.errors import UserError
from hale.paths import ROOT
from hale.plan import approval
from hale.report.change.model import Operation
from hale.report.text import confirm, escape_controls
from hale.shell import arguments, load_script
from hale.ssh import SessionPool
from hale.ssh.inventory_targets import LoginOptions

_DNS = 53


@dataclass(frozen=True)
class FederationOptions:
    """The options of a join or a leave. host, member: the inventories of the cluster with Karmada,
    and of the other. name: of the member, in place of its cluster's."""

    host: Path
    member: Path
    name: str = ""
    plan: bool = False
    yes: bool = False
    force_unlock: bool = False
    login: LoginOptions | None = None
    reports: Path = ROOT / "reports"
    approved_by: str = ""
    ticket: str = ""
    window: str = ""


def join(options: FederationOptions) -> None:
    """Make a cluster a member, and wait until it is Ready.

    Raises UserError: where it is refused, with everything that is missing; where a step fails.
    """
    with open_clusters(options.host, options.member, options.name, options.login) as its:
        host = state.parse_host(its.on_host("read_host"))
        member = state.parse_member(its.on_member("read_member"))
        refused = [
            *state.range_refusals(its.first, its.second),
            *state.join_refusals(its.name, its.first, its.second, host, member),
        ]
        _refuse([*refused, *_unreached(its, host, member)])
        steps = join_steps(its, host, member)
        _show(steps)
        if not options.plan:
            _carry_out(options, its, Operation.JOIN, steps, f"Join {its.name}?")
            print(f"{its.name} is a member, and Ready.")


def leave(options: FederationOptions) -> None:
    """Take a cluster out of the federation, with what Karmada has placed there.

    Raises UserError: where it is refused; where a step fails.
    """
    with open_clusters(options.host, options.member, options.name, options.login) as its:
        host = state.parse_host(its.on_host("read_host"))
        member = state.parse_member(its.on_member("read_member"))
        _refuse([*state.leave_refusals(its.name, host, member)])
        placed = host.placed.get(its.name, ())
        for workload in placed:
            print(f"  placed on {its.name}, and removed there: {escape_controls(workload)}")
        steps = leave_steps(its, placed)
        _show(steps)
        if not options.plan:
            question = f"Take {its.name} out of the federation?"
            _carry_out(options, its, Operation.LEAVE, steps, question)
            print(f"{its.name} is not a member any more.")


def _refuse(refused: list[Refusal]) -> None:
    if refused:
        raise UserError("nothing was changed:\n" + "\n".join(f"  {r}" for r in refused))


def _unreached(its: Clusters, host: FederationHost, member: FederationMember) -> list[Refusal]:
    """From every host: the other cluster's pods, and from the first cluster's the apiserver too."""
    endpoint = state.endpoint_of(its.second)
    there = [f"{url_host(pod)}:{_DNS}" for pod in member.pods]
    back = [f"{url_host(pod)}:{_DNS}" for pod in host.pods]
    tried = [
        *((its.on_first, h.name, its.second, [*there, endpoint]) for h in its.first.hosts),
        *((its.on_second, h.name, its.first, back) for h in its.second.hosts),
    ]

    def one(
        sessions: SessionPool, name: str, other: Inventory, addresses: list[str]
    ) -> list[Refusal]:
        script = arguments(*addresses) + load_script(HERE / "reach.sh")
        output = run_on(sessions, name, script)
        return [*state.reach_refusals(output, name, other, endpoint)]

    with ThreadPoolExecutor(max_workers=16) as pool:
        found = pool.map(lambda each: one(*each), tried)
        return [refusal for refusals in found for refusal in refusals]


def _show(steps: tuple[FederationStep, ...]) -> None:
    for step in steps:
        print(f"  {escape_controls(step.title)}")


def _carry_out(
    options: FederationOptions,
    its: Clusters,
    kind: Operation,
    steps: tuple[FederationStep, ...],
    question: str,
) -> None:
    """Ask, and take the steps under the locks of both clusters. Raises UserError."""
    if not options.yes and not confirm(f"\n{question} [y/N] "):
        raise UserError("nothing was changed; --yes answers the question without a terminal.")
    report = console_reporter()
    folder = recorder.create_run_dir(options.reports, kind)
    owner = run_journals.new_owner(folder.name)
    header = run_journals.journal_header(
        owner,
        kind,
        its.second.path.resolve(),
        approved_by=options.approved_by,
        ticket=options.ticket,
        member=its.name,
        host_inventory=str(its.first.path.resolve()),
    )
    try:
        with (
            _locked(options, its.on_first, owner),
            _locked(options, its.on_second, owner),
            closing(Journal(folder, header)) as journal,
        ):
            journal.write(run_journals.run_approval(approval.MADE_NOW, options.window))
            change_page.write_page(folder, report)
            take(steps, kind, journal)
    finally:
        change_page.write_page(folder, report)
        sealing.seal_run(folder, report)
        print(f"report: {folder}")


def _locked(
    options: FederationOptions, sessions: SessionPool, owner: Owner
) -> AbstractContextManager[HostLocks]:
    """Hold the locks of a cluster's hosts, as every run does that changes one."""
    names = list(sessions.targets)
    return cluster_lock.locks_held(
        sessions, names, names, owner, stale=options.force_unlock, report=console_reporter()
    )

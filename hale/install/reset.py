"""`invoke reset`: remove the cluster from its hosts."""

import importlib
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import msgspec
from rich.console import Console
from rich.text import Text

from hale.apply import sealing
from hale.apply.journal import RunFinished, RunState, now
from hale.apply.reporter import console_reporter
from hale.audit import recorder
from hale.install import scheduler
from hale.install.cluster_context import ClusterContext, load_cluster_context
from hale.install.engine import Engine, PhaseFailed, interruptible
from hale.install.executor import InstallStepFailed
from hale.install.joined import InstallAborted
from hale.install.locked_run import check_reachable, locked_run
from hale.install.observe import HostsUnreachable, ObservationRequest, observe
from hale.install.options import InstallOptions
from hale.install.phase import Batch, Observations, ProbeSource, Problems
from hale.install.progress import InstallProgress, escaped_lines, indented
from hale.install.status_view import print_differences
from hale.inventory import ini, selection
from hale.inventory.ini import Host, Inventory
from hale.model.errors import UserError
from hale.model.evidence import Unreadable
from hale.plan import approval
from hale.report.text import confirm, escape_controls
from hale.ssh import BecomeFailed, HostUnreachable, RemoteError, SessionPool
from hale.ssh.inventory_targets import targets_of

# Of ssh, about a host that is up but does not let it in.
_ANSWERS = (
    "Connection refused",
    "Permission denied",
    "Host key verification failed",
    "Too many authentication failures",
)


@dataclass(frozen=True)
class Reset:
    """The options of `invoke reset` alone.

    hosts: a host pattern. disable_eviction: delete pods where their budgets refuse an eviction.
    gone: a host that no longer exists, that the cluster forgets; no other host is reset.
    """

    cluster_name: str = ""
    hosts: str = "all"
    packages: bool = False
    allow_quorum_loss: bool = False
    disable_eviction: bool = False
    gone: str = ""

    def __post_init__(self) -> None:
        if self.gone and (self.hosts != "all" or self.packages or self.allow_quorum_loss):
            raise UserError("--gone excludes --hosts, --packages and --allow-quorum-loss.")


class ResetModule(ProbeSource, Protocol):
    """remediate/cluster/reset.py: like a phase, but of the hosts that are to be reset."""

    @property
    def foreign(self) -> Callable[[ClusterContext, Observations, Sequence[Host]], str]:
        """Why a host belongs to another cluster; empty if none does."""

    @property
    def quorum_loss(self) -> Callable[[ClusterContext, Observations, Sequence[Host]], str]:
        """What resetting these hosts does to etcd's quorum; empty where it keeps it."""

    @property
    def batches(self) -> Callable[..., Iterable[Batch]]:
        """The steps."""

    @property
    def gone_batches(self) -> Callable[[ClusterContext, Observations, Host], Iterable[Batch]]:
        """The steps for a host that no longer exists, on the hosts that do."""

    @property
    def kept(
        self,
    ) -> Callable[[ClusterContext, Observations, Sequence[Host]], Problems]:
        """What keeps running on the hosts, because it is not as Hale wrote it."""

    @property
    def remaining(
        self,
    ) -> Callable[[ClusterContext, Observations, Sequence[Host]], Problems]:
        """What is still there of the cluster."""


def reset_cluster(options: InstallOptions, reset_options: Reset) -> bool:
    """Remove the cluster from the hosts. True if nothing of it remains there.

    Raises UserError for a wrong cluster name, without confirmation, for a host of another cluster,
    or if etcd would lose its quorum or cannot give the hosts up.
    """
    inventory = ini.load_inventory(options.path)
    without = (
        "A reset has no plan to sign: remove the variable for it, and set it again afterwards."
    )
    approval.require_for_run(inventory, without)
    if reset_options.gone:
        return _reset_gone(options, reset_options, inventory)
    context = load_cluster_context(inventory)
    chosen = {
        c.host.name for c in selection.select_hosts(reset_options.hosts, inventory, lambda uri: ())
    }
    hosts = [h for h in context.hosts if h.name in chosen]
    reset_module = _reset_module()
    _named(context, reset_options, hosts, yes=options.yes)
    with SessionPool(targets_of(inventory, options.login)) as sessions:
        check_reachable(sessions)
        return _reset(options, reset_options, reset_module, context, hosts, sessions)


def _reset_module() -> ResetModule:
    return cast("ResetModule", importlib.import_module(f"{scheduler.PACKAGE}.reset"))


def _reset_gone(options: InstallOptions, reset_options: Reset, inventory: Inventory) -> bool:
    """Remove a host that no longer exists from the cluster, without contacting it.

    Raises UserError as `reset_cluster`, and if the host does exist.
    """
    gone = next((h for h in inventory.hosts if h.name == reset_options.gone), None)
    if gone is None:
        raise UserError(f"--gone: the inventory has no host {reset_options.gone!r}.")
    rest = tuple(h for h in inventory.hosts if h is not gone)
    context = load_cluster_context(msgspec.structs.replace(inventory, hosts=rest))
    _named(context, reset_options, [gone], yes=options.yes)
    targets = dict(targets_of(inventory, options.login))
    target = targets.pop(gone.name)
    with SessionPool({gone.name: target}) as alone:
        _check_gone(alone, gone.name)
    with SessionPool(targets) as sessions:
        check_reachable(sessions)
        return _reset(options, reset_options, _reset_module(), context, [gone], sessions)


def _check_gone(sessions: SessionPool, name: str) -> None:
    """Raises UserError if the host answers."""
    try:
        sessions.session(name).run("true")
    except HostUnreachable as error:
        if isinstance(error, BecomeFailed) or any(word in str(error) for word in _ANSWERS):
            raise UserError(
                f"nothing was changed: {name} answers, so it is not gone: {error}"
            ) from None
        return
    except RemoteError:
        pass
    raise UserError(
        f"nothing was changed: {name} answers, so it is not gone. `--hosts {name}` resets it."
    )


def _reset(
    options: InstallOptions,
    reset_options: Reset,
    reset_module: ResetModule,
    context: ClusterContext,
    hosts: Sequence[Host],
    sessions: SessionPool,
) -> bool:
    console = Console(highlight=False)
    folder = recorder.create_run_dir(options.reports, "reset")
    with (
        locked_run(options, context.inventory, sessions, folder, "reset") as journal,
        InstallProgress(console) as progress,
    ):
        engine = Engine(context, sessions, progress, journal)
        with interruptible(engine):
            try:
                request = ObservationRequest(reset_module, context)
                (observations,) = observe([request], sessions.session)
                present = [h for h in hosts if h.name != reset_options.gone]
                _refuse(reset_module, context, observations, hosts, reset_options)
                kept = reset_module.kept(context, observations, present)
                batches = _batches(reset_module, context, observations, hosts, reset_options)
                unresolved = engine.run_batches(
                    "reset", batches, request, lambda s: reset_module.remaining(context, s, present)
                )
            except InstallAborted:
                journal.write(RunFinished(RunState.INTERRUPTED, now()))
                if len(hosts) < len(context.hosts):
                    console.print(
                        "Stopped. Run the command again to resume. A node whose drain was killed "
                        "is still cordoned: kubectl get nodes; kubectl uncordon NODE"
                    )
                raise KeyboardInterrupt from None
            except (PhaseFailed, InstallStepFailed, HostsUnreachable) as error:
                journal.write(RunFinished(RunState.FAILED, now()))
                output = getattr(error, "output", "")
                console.print(Text(f"\nreset failed: {escaped_lines(str(error))}", "bold red"))
                if output:
                    console.print(Text(indented(escaped_lines(output))))
                console.print("Run the command again to resume.")
                return False
        journal.write(RunFinished(RunState.FAILED if unresolved else RunState.FINISHED, now()))
    sealing.seal_run(folder, console_reporter())
    if kept:
        console.print("Left as they are, because Hale did not write them, or not as they are now:")
        print_differences(console, kept)
    for problem in unresolved:
        console.print(Text(f"  ✗ remaining: {escape_controls(str(problem))}", "red"))
    console.print(Text(f"report: {folder}"))
    return not unresolved


def _refuse(
    reset_module: ResetModule,
    context: ClusterContext,
    observations: Observations,
    hosts: Sequence[Host],
    options: Reset,
) -> None:
    """Raises UserError if these hosts must not be reset, or it cannot be read whether they may."""
    try:
        present = [h for h in hosts if h.name != options.gone]
        if foreign := reset_module.foreign(context, observations, present):
            raise UserError(f"nothing was changed: {foreign}")
        lost = reset_module.quorum_loss(context, observations, hosts)
    except Unreadable as error:
        raise UserError(f"nothing was changed: {error}") from None
    if lost and not options.allow_quorum_loss:
        raise UserError(f"nothing was changed: {lost} Pass --allow-quorum-loss to reset anyway.")


def _batches(
    reset_module: ResetModule,
    context: ClusterContext,
    observations: Observations,
    hosts: Sequence[Host],
    options: Reset,
) -> Iterable[Batch]:
    if options.gone:
        return reset_module.gone_batches(context, observations, hosts[0])
    return reset_module.batches(
        context,
        observations,
        hosts,
        with_packages=options.packages,
        disable_eviction=options.disable_eviction,
    )


def _named(
    context: ClusterContext, reset_options: Reset, hosts: Sequence[Host], *, yes: bool
) -> None:
    """Confirm the cluster by its name. Raises UserError."""
    name = context.cluster.name
    given = reset_options.cluster_name
    if not given and sys.stdin.isatty():
        print(f"This removes the cluster {name} from {', '.join(h.name for h in hosts)}.")
        given = input("Type the cluster's name to continue: ").strip()
    if not given:
        raise UserError(
            "name the cluster to remove: --cluster-name NAME (inventory: cluster_name)."
        )
    if given != name:
        raise UserError(f"nothing was changed: the cluster's name is {name!r}, not {given!r}.")
    if not yes and not sys.stdin.isatty():
        raise UserError("stdin is not a terminal: pass --yes to reset without confirmation.")
    if not yes and not confirm(
        f"Reset {len(hosts)} hosts? All data in the cluster will be lost. [y/N] "
    ):
        raise UserError("nothing was changed.")

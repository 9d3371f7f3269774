"""`invoke reset`: remove the cluster from its hosts."""

import importlib
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from rich.console import Console
from rich.text import Text

from hale.apply.journal import RunFinished, RunState, now
from hale.audit import recorder
from hale.install import scheduler
from hale.install.cluster_context import ClusterContext, load_cluster_context
from hale.install.engine import Engine, InstallAborted, PhaseFailed, interruptible
from hale.install.executor import InstallStepFailed
from hale.install.locked_run import check_reachable, locked_run
from hale.install.observe import HostsUnreachable, ObservationRequest, observe
from hale.install.options import InstallOptions
from hale.install.phase import Batch, Observations, ProbeSource, Problems
from hale.install.progress import InstallProgress, escaped_lines, indented
from hale.inventory import ini, selection
from hale.inventory.ini import Host
from hale.model.errors import UserError
from hale.report.text import confirm, escape_controls
from hale.ssh import SessionPool
from hale.ssh.inventory_targets import targets_of


@dataclass(frozen=True)
class Reset:
    """The options of `invoke reset` alone. hosts: a host pattern."""

    cluster_name: str = ""
    hosts: str = "all"
    packages: bool = False
    allow_quorum_loss: bool = False


class ResetModule(ProbeSource, Protocol):
    """remediate/cluster/reset.py: like a phase, but of the hosts that are to be reset."""

    @property
    def quorum_loss(self) -> Callable[[ClusterContext, Observations, Sequence[Host]], str]:
        """What resetting these hosts does to etcd's quorum; empty where it keeps it."""

    @property
    def batches(self) -> Callable[..., Iterable[Batch]]:
        """The steps."""

    @property
    def remaining(
        self,
    ) -> Callable[[ClusterContext, Observations, Sequence[Host]], Problems]:
        """What is still there of the cluster."""


def reset_cluster(options: InstallOptions, reset_options: Reset) -> bool:
    """Remove the cluster from the hosts. True if nothing of it remains there.

    Raises UserError for a wrong cluster name, without confirmation, or if etcd would lose its
    quorum.
    """
    inventory = ini.load_inventory(options.path)
    context = load_cluster_context(inventory)
    chosen = {
        c.host.name for c in selection.select_hosts(reset_options.hosts, inventory, lambda uri: ())
    }
    hosts = [h for h in context.hosts if h.name in chosen]
    reset_module = cast("ResetModule", importlib.import_module(f"{scheduler.PACKAGE}.reset"))
    _named(context, reset_options, hosts, yes=options.yes)
    with SessionPool(targets_of(inventory, options.login)) as sessions:
        check_reachable(sessions)
        return _reset(options, reset_options, reset_module, context, hosts, sessions)


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
                lost = reset_module.quorum_loss(context, observations, hosts)
                if lost and not reset_options.allow_quorum_loss:
                    raise UserError(
                        f"nothing was changed: {lost} Pass --allow-quorum-loss to reset anyway."
                    )
                batches = reset_module.batches(
                    context, observations, hosts, with_packages=reset_options.packages
                )
                left = engine.run_batches(
                    "reset", batches, request, lambda s: reset_module.remaining(context, s, hosts)
                )
            except InstallAborted:
                journal.write(RunFinished(RunState.INTERRUPTED, now()))
                raise KeyboardInterrupt from None
            except (PhaseFailed, InstallStepFailed, HostsUnreachable) as error:
                journal.write(RunFinished(RunState.FAILED, now()))
                output = getattr(error, "output", "")
                console.print(Text(f"\nreset failed: {escaped_lines(str(error))}", "bold red"))
                if output:
                    console.print(Text(indented(escaped_lines(output))))
                console.print("Run the command again to resume.")
                return False
        journal.write(RunFinished(RunState.FAILED if left else RunState.FINISHED, now()))
    for problem in left:
        console.print(Text(f"  ✗ remaining: {escape_controls(str(problem))}", "red"))
    console.print(f"report: {folder}")
    return not left


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

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


def reset_cluster(asked: InstallOptions, wanted: Reset) -> bool:
    """Remove the cluster from the hosts. True if nothing of it remains there.

    Raises UserError for a wrong cluster name, without confirmation, or if etcd would lose its
    quorum.
    """
    known = ini.load_inventory(asked.path)
    built = load_cluster_context(known)
    chosen = {c.host.name for c in selection.select_hosts(wanted.hosts, known, lambda uri: ())}
    hosts = [h for h in built.hosts if h.name in chosen]
    taken_off = cast("ResetModule", importlib.import_module(f"{scheduler.PACKAGE}.reset"))
    _named(built, wanted, hosts, yes=asked.yes)
    check_reachable(known)
    console = Console(highlight=False)
    folder = recorder.create_run_dir(asked.reports, "reset")
    with locked_run(asked, known, folder, "reset") as book, InstallProgress(console) as shown:
        engine = Engine(built, shown, book)
        with interruptible(engine):
            try:
                wish = ObservationRequest(taken_off, built)
                (seen,) = observe([wish])
                lost = taken_off.quorum_loss(built, seen, hosts)
                if lost and not wanted.allow_quorum_loss:
                    raise UserError(
                        f"nothing was changed: {lost} Pass --allow-quorum-loss to reset anyway."
                    )
                waves = taken_off.batches(built, seen, hosts, with_packages=wanted.packages)
                left = engine.run_batches(
                    "reset", waves, wish, lambda s: taken_off.remaining(built, s, hosts)
                )
            except InstallAborted:
                book.write(RunFinished(RunState.INTERRUPTED, now()))
                raise KeyboardInterrupt from None
            except (PhaseFailed, InstallStepFailed, HostsUnreachable) as error:
                book.write(RunFinished(RunState.FAILED, now()))
                said = getattr(error, "output", "")
                console.print(Text(f"\nreset failed: {escaped_lines(str(error))}", "bold red"))
                if said:
                    console.print(Text(indented(escaped_lines(said))))
                console.print("Run the command again to resume.")
                return False
        book.write(RunFinished(RunState.FAILED if left else RunState.FINISHED, now()))
    for problem in left:
        console.print(Text(f"  ✗ remaining: {escape_controls(str(problem))}", "red"))
    console.print(f"report: {folder}")
    return not left


def _named(built: ClusterContext, wanted: Reset, hosts: Sequence[Host], *, yes: bool) -> None:
    """Confirm the cluster by its name. Raises UserError."""
    name = built.cluster.name
    given = wanted.cluster_name
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

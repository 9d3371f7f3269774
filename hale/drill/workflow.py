"""`invoke drill`: from the command line to the report.

A drill's folder is reports/<time>-drill/: before/ and after/ are audits of the cluster's own
requirements, drill.jsonl is the journal, change.html the page of all that, <fault>/ has the raw
records of client and watcher.
"""

import contextlib
import signal
from collections.abc import Iterator, Sequence
from types import FrameType

from hale.drill import journal
from hale.drill.cluster_audit import wait_until_healthy
from hale.drill.interrupted import recover_interrupted
from hale.drill.live_view import LiveView
from hale.drill.options import DrillOptions
from hale.drill.runner import DrillRunner
from hale.files import signals
from hale.inventory import ini
from hale.inventory.ini import Inventory
from hale.model.drill import CLUSTER_FAULTS, FaultKind
from hale.model.errors import UserError
from hale.ssh import SessionPool
from hale.ssh.inventory_targets import targets_of


def run_drills(options: DrillOptions) -> bool:
    """Run the drills; True if every result passed and the cluster is healthy. Raises UserError."""
    typed = list(CLUSTER_FAULTS) if options.faults == "all" else options.faults.split(",")
    if unknown := sorted(set(typed) - set(FaultKind)):
        raise UserError(
            f"unknown drill {unknown[0]!r}: choose from {', '.join(FaultKind)}, or all."
        )
    kinds = [kind for kind in FaultKind if kind in typed]
    if options.host and len(kinds) > 1:
        raise UserError(
            "--host takes a single drill; several drills select their hosts themselves."
        )
    known = ini.load_inventory(options.inventory)
    require_consent(known, allow_production=options.allow_production)
    other = _member_inventory(options, kinds, known)
    with _signals_raise(), LiveView() as screen, _pool(options, known, other) as sessions:
        recover_interrupted(options, known, sessions, screen)
        return DrillRunner(options, known, sessions, tuple(kinds), screen, other).run()


def _member_inventory(
    options: DrillOptions, kinds: Sequence[FaultKind], known: Inventory
) -> Inventory | None:
    """The inventory of the member that is disconnected, if one is. Raises UserError."""
    if (FaultKind.MEMBER in kinds) != (options.member is not None):
        raise UserError(
            "the member drill, and no other, takes --member-inventory FILE: the inventory of the "
            "cluster that is disconnected."
        )
    if options.member is None:
        return None
    if options.host:
        raise UserError("--host: the member drill is of all hosts of the member.")
    other = ini.load_inventory(options.member)
    require_consent(other, allow_production=options.allow_production)
    names = {host.name for host in known.hosts}
    if shared := [host.name for host in other.hosts if host.name in names]:
        raise UserError(
            f"{shared[0]} is the name of a host in both inventories: the drill needs names that "
            "tell them apart."
        )
    if not other.masters:
        raise UserError(f"{other.path} has no control-plane node.")
    return other


def _pool(options: DrillOptions, *inventories: Inventory | None) -> SessionPool:
    known = [targets_of(each, options.login) for each in inventories if each is not None]
    return SessionPool({name: target for targets in known for name, target in targets.items()})


def revert_only(options: DrillOptions) -> bool:
    """`invoke drill --revert`: only revert what interrupted drills left. Raises UserError."""
    known = ini.load_inventory(options.inventory)
    with _signals_raise(), LiveView() as screen, _pool(options, known) as sessions:
        _refuse_running(options, known)
        if not recover_interrupted(options, known, sessions, screen):
            screen.log("", "no interrupted drill of this inventory has anything left to revert")
            return True
        screen.log("", "waiting until the cluster is healthy")
        rows, _ = wait_until_healthy(known, sessions.targets)
        for row in rows:
            screen.log("", f"unhealthy: {row}")
        return not rows


def _refuse_running(options: DrillOptions, known: Inventory) -> None:
    """Raises UserError where a drill of this inventory runs: it reverts its faults itself."""
    for history in journal.running(options.reports, str(known.path.resolve())):
        owner = history.header.owner
        raise UserError(
            f"nothing was reverted: {history.folder.name} of {owner.operator} on "
            f"{owner.source_host} runs since {owner.since}. Wait until it is over, or end it with "
            "Ctrl-C: either way it reverts its faults."
        )


def require_consent(known: Inventory, *, allow_production: bool) -> None:
    """Raises UserError unless the hosts are a lab's or the operator allowed production hosts."""
    if known.environment != "lab" and not allow_production:
        raise UserError(
            f"{known.path} is not a lab (its hale_environment is {known.environment!r}), and a "
            "drill injects faults into its cluster. To run it anyway, read docs/drills.md and pass "
            "--allow-production: haproxy, an apiserver and an etcd member are stopped and started "
            "again; hosts are rebooted instead of losing power."
        )


@contextlib.contextmanager
def _signals_raise() -> Iterator[None]:
    """SIGTERM and SIGHUP end a drill as Ctrl-C does: every fault is reverted."""

    def leave(number: int, _: FrameType | None) -> None:
        raise KeyboardInterrupt

    with signals.signal_handler(leave, signal.SIGTERM, signal.SIGHUP):
        yield

"""Reverts a drill that did not revert itself, from its journal alone."""

from collections.abc import Callable

from hale.apply.cluster_lock import HostLocks
from hale.apply.journal import now
from hale.drill import actions, member
from hale.drill.actions import ActionFailed
from hale.drill.fault import HOST_FAULTS, PowerSwitch
from hale.drill.journal import DrillHistory, Entry, FaultReverted, WorkloadEvent
from hale.drill.sampler import FOLDER
from hale.model.errors import UserError

Reporter = Callable[[str, str], None]  # host (or empty) and message


def remaining(history: DrillHistory) -> list[str]:
    """What still has to be reverted, for people."""
    faults = [f"{f.fault.title} (injected at {f.at})" for f in history.active_faults]
    workloads = [history.workload_host, history.federated_workload_host]
    return [*faults, *("the drill's workload" for host in workloads if host)]


def revert_all(
    history: DrillHistory,
    locks: HostLocks,
    power: PowerSwitch | None,
    write: Callable[[Entry], None],
    report: Reporter,
) -> list[str]:
    """Revert everything that is left, with a journal entry for each; returns the failures.

    locks: of the drill, whose sessions are used; a host that was off is locked again.
    Raises UserError at the end, when all of it is reverted, if an entry could not be written.
    """
    failures = []
    sessions = locks.sessions
    unwritten: list[UserError] = []

    def record(entry: Entry) -> None:
        try:
            write(entry)
        except UserError as error:
            unwritten.append(error)

    for injected in history.active_faults:
        title = injected.fault.title
        report(injected.host, f"reverting: {title}")
        try:
            actions.revert(sessions, injected.fault, power)
        except ActionFailed as error:
            failures.append(f"{title}: {error}")
            continue
        record(FaultReverted(injected.kind, injected.host, now()))
        if injected.kind in HOST_FAULTS:
            try:
                actions.lock_again(locks, injected.host)
            except ActionFailed as error:
                report(injected.host, f"not locked again: {error}")
    workloads = (
        (history.workload_host, actions.delete_workload, False),
        (history.federated_workload_host, member.delete_workload, True),
    )
    for host, delete, federated in workloads:
        if not host:
            continue
        report(host, "deleting the drill's workload")
        try:
            delete(sessions, host)
            record(WorkloadEvent(host, True, now(), federated))
        except ActionFailed as error:
            failures.append(f"the drill's workload: {error}")
    for host in history.sampler_hosts:
        try:
            actions.run_script(sessions, host, f"rm -rf {FOLDER}\n", 20)
        except ActionFailed as error:
            report(host, f"{FOLDER} stays until the next reboot: {error}")
    if unwritten:
        raise unwritten[0]
    return failures

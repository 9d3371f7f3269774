"""What a drill does on a host: it runs a script as root or switches the power."""

import re
import shlex
import time

from hale.apply.cluster_lock import HostLocks
from hale.apply.lock import LockHeld
from hale.drill.fault import AUTO_REVERT_AFTER, Fault, PowerError, PowerSwitch
from hale.drill.sampler import HostClock
from hale.drill.workload import ADMIN, IMAGE, NAME, manifest
from hale.ssh import RemoteError, Session, SessionPool
from hale.ssh.remote import PRELUDE

TIMEOUT = 60.0
#: Seconds for the workload to be ready on every node, or to be deleted.
ROLLOUT = 120


class ActionFailed(Exception):
    """An action failed on a host; the message says what, where and why."""


def run_script(sessions: SessionPool, host: str, script: str, timeout: float = TIMEOUT) -> str:
    """Run an idempotent script as root; returns its stdout. Raises ActionFailed.

    Uses the open session; if that was lost, because the host was without power in between, it
    retries once over a new one.
    """
    try:
        output = sessions.on_session(host, lambda session: _run(host, session, script, timeout))
    except RemoteError as error:
        raise ActionFailed(str(error)) from None
    return output.decode(errors="backslashreplace")


def _run(host: str, session: Session, script: str, timeout: float) -> bytes:
    result = session.run(f"/bin/sh -c {shlex.quote(f'{PRELUDE}{script}')}", timeout)
    if result.exit_status:
        stderr = result.stderr.decode(errors="backslashreplace").strip()
        last = "; ".join(stderr.splitlines()[-3:]) or f"exit status {result.exit_status}"
        raise ActionFailed(f"{host}: {last}")
    return result.stdout


def inject(
    sessions: SessionPool,
    fault: Fault,
    power: PowerSwitch | None,
    limit: int = AUTO_REVERT_AFTER,
) -> float:
    """Inject the fault; returns the moment of injection (time.monotonic()). Raises ActionFailed.

    The host reports that moment itself: the latency of the login would distort ours.
    """
    if not fault.needs_power:
        return _inject_timed(sessions.session(fault.host), fault.inject_script(limit))
    try:
        switch = _switch(fault, power)
        lost = time.monotonic()
        switch.off(fault.host)
    except PowerError as error:
        raise ActionFailed(str(error)) from None
    return lost


def _inject_timed(session: Session, script: str) -> float:
    clock, host = HostClock(), session.target.name
    try:
        for _ in range(3):
            sent = time.monotonic()
            uptime = session.run("cat /proc/uptime", TIMEOUT).stdout
            clock.read(sent, time.monotonic(), float(uptime.split()[0]))
        output = _run(host, session, script, TIMEOUT)
    except RemoteError as error:
        raise ActionFailed(str(error)) from None
    match = re.search(rb"^lost ([\d.]+)$", output, re.MULTILINE)
    if not match:
        raise ActionFailed(f"{host} did not report when the fault was injected")
    return float(match[1]) - clock.offset


def revert(sessions: SessionPool, fault: Fault, power: PowerSwitch | None) -> None:
    """Revert whatever is left of the fault. Raises ActionFailed.

    The component is healthy only some time later; the caller waits for that.
    """
    if not fault.needs_power:
        if not fault.reboots:
            run_script(sessions, fault.host, fault.revert_script())
        return
    try:
        _switch(fault, power).on(fault.host)
    except PowerError as error:
        raise ActionFailed(str(error)) from None


def lock_again(locks: HostLocks, host: str) -> None:
    """Lock a host that lost its power or was rebooted. Raises ActionFailed."""
    try:
        locks.acquire_again(host)
    except (LockHeld, RemoteError) as error:
        raise ActionFailed(str(error)) from None


def _switch(fault: Fault, power: PowerSwitch | None) -> PowerSwitch:
    if power is None:
        raise ActionFailed(f"{fault.host} can only be powered on by its lab, on that lab's machine")
    return power


def deploy_workload(sessions: SessionPool, master: str, replicas: int) -> None:
    """Create the workload and wait for a replica on every node. Raises ActionFailed."""
    image = run_script(sessions, master, IMAGE).strip()
    if not image:
        raise ActionFailed(f"{master}: containerd's configuration names no sandbox image")
    objects = shlex.quote(manifest(image, replicas))
    kubectl = f"kubectl --kubeconfig={ADMIN}"
    run_script(
        sessions,
        master,
        f"printf %s {objects} | {kubectl} apply -f - >/dev/null &&\n"
        f"{kubectl} -n {NAME} rollout status deployment/{NAME} --timeout={ROLLOUT}s >/dev/null || "
        f"{{ {kubectl} -n {NAME} get pods -o wide >&2; exit 1; }}",
        ROLLOUT + TIMEOUT,
    )


def delete_workload(sessions: SessionPool, master: str) -> None:
    """Delete the workload and its namespace, if there. Raises ActionFailed."""
    run_script(
        sessions,
        master,
        f"kubectl --kubeconfig={ADMIN} delete namespace {NAME} --ignore-not-found --wait "
        f"--timeout={ROLLOUT}s >/dev/null",
        ROLLOUT + TIMEOUT,
    )

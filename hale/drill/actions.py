"""What a drill does on a host: one command, or the power switch."""

import re
import shlex
import time

from hale.drill.fault import AUTO_REVERT_AFTER, Fault, Power, PowerError
from hale.drill.sampler import HostClock
from hale.drill.workload import ADMIN, IMAGE, NAME, manifest
from hale.ssh import TARGETS, CommandTimeout, HostUnreachable, OutputTooLarge, Session, session_for

TIMEOUT = 60.0
#: Seconds for the Deployment to be there on every node, or to be gone.
ROLLOUT = 120


class ActionFailed(Exception):
    """Something could not be done on a host; says what, where and why."""


def run_script(host: str, script: str, timeout: float = TIMEOUT) -> str:
    """Run a script as root, that may be run twice; returns what it printed. Raises Failed.

    Over the connection that there is; where that was lost, because the host was without power
    in between, over a new one.
    """
    try:
        try:
            said = _done(host, session_for(host), script, timeout)
        except HostUnreachable:
            session = Session(TARGETS[host])
            try:
                said = _done(host, session, script, timeout)
            finally:
                session.close()
    except (HostUnreachable, CommandTimeout, OutputTooLarge) as error:
        raise ActionFailed(str(error)) from None
    return said.decode(errors="backslashreplace")


def _done(host: str, session: Session, script: str, timeout: float) -> bytes:
    done = session.run(f"/bin/sh -c {shlex.quote(f'{_BEGIN}{script}')}", timeout)
    if done.exit_status:
        said = done.stderr.decode(errors="backslashreplace").strip()
        last = "; ".join(said.splitlines()[-3:]) or f"exit status {done.exit_status}"
        raise ActionFailed(f"{host}: {last}")
    return done.stdout


_BEGIN = "export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin\n"


def inject(outage: Fault, power: Power | None, limit: int = AUTO_REVERT_AFTER) -> float:
    """Take the part away; returns when it was lost (time.monotonic()). Raises Failed.

    Logging in and getting ready take longer than the blow: the host says when that fell.
    """
    if not outage.by_power:
        return _inject_timed(outage.host, outage.take(limit))
    try:
        switch = _switch(outage, power)
        lost = time.monotonic()
        switch.off(outage.host)
    except PowerError as error:
        raise ActionFailed(str(error)) from None
    return lost


def _inject_timed(host: str, script: str) -> float:
    clock, session = HostClock(), session_for(host)
    try:
        for _ in range(3):
            sent = time.monotonic()
            said = session.run("cat /proc/uptime", TIMEOUT).stdout
            clock.read(sent, time.monotonic(), float(said.split()[0]))
        said = _done(host, session, script, TIMEOUT)
    except (HostUnreachable, CommandTimeout, OutputTooLarge) as error:
        raise ActionFailed(str(error)) from None
    found = re.search(rb"^lost ([\d.]+)$", said, re.MULTILINE)
    if not found:
        raise ActionFailed(f"{host} does not say when it lost it")
    return float(found[1]) - clock.offset


def revert(outage: Fault, power: Power | None) -> None:
    """Bring it back, whatever is left of the outage. Raises Failed.

    What it was is whole a little later: wait for that.
    """
    if not outage.by_power:
        if not outage.reboots:
            run_script(outage.host, outage.give())
        return
    try:
        _switch(outage, power).on(outage.host)
    except PowerError as error:
        raise ActionFailed(str(error)) from None


def _switch(outage: Fault, power: Power | None) -> Power:
    if power is None:
        raise ActionFailed(f"{outage.host} is switched by its lab, and that is not on this machine")
    return power


def deploy_workload(master: str, replicas: int) -> None:
    """Make the Deployment, and wait until a replica is on every node. Raises Failed."""
    image = run_script(master, IMAGE).strip()
    if not image:
        raise ActionFailed(
            f"{master}: containerd does not tell which image its sandboxes are made of"
        )
    made = shlex.quote(manifest(image, replicas))
    kubectl = f"kubectl --kubeconfig={ADMIN}"
    run_script(
        master,
        f"printf %s {made} | {kubectl} apply -f - >/dev/null &&\n"
        f"{kubectl} -n {NAME} rollout status deployment/{NAME} --timeout={ROLLOUT}s >/dev/null || "
        f"{{ {kubectl} -n {NAME} get pods -o wide >&2; exit 1; }}",
        ROLLOUT + TIMEOUT,
    )


def delete_workload(master: str) -> None:
    """Delete the Deployment with its namespace; none is fine. Raises Failed."""
    run_script(
        master,
        f"kubectl --kubeconfig={ADMIN} delete namespace {NAME} --ignore-not-found --wait "
        f"--timeout={ROLLOUT}s >/dev/null",
        ROLLOUT + TIMEOUT,
    )

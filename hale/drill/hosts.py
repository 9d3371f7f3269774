"""What a drill does on a host: one command over a connection of its own, or the power switch."""

import shlex

from hale.connection import TARGETS, CommandTimeout, HostDown, OutputTooLarge, Session
from hale.drill.outage import LIMIT, NoPower, Outage, Power
from hale.drill.spread import ADMIN, IMAGE, NAME, manifest

TIMEOUT = 60.0
#: Seconds for the Deployment to be there on every node, or to be gone.
ROLLOUT = 120


class Failed(Exception):
    """Something could not be done on a host; says what, where and why."""


def run(host: str, script: str, timeout: float = TIMEOUT) -> str:
    """Run a script as root; returns what it printed. Raises Failed.

    A new connection each time: the host may have been without power in between.
    """
    session = Session(TARGETS[host])
    try:
        done = session.run(f"/bin/sh -c {shlex.quote(f'{_BEGIN}{script}')}", timeout)
    except (HostDown, CommandTimeout, OutputTooLarge) as error:
        raise Failed(str(error)) from None
    finally:
        session.close()
    if done.exit_status:
        said = done.stderr.decode(errors="backslashreplace").strip()
        last = "; ".join(said.splitlines()[-3:]) or f"exit status {done.exit_status}"
        raise Failed(f"{host}: {last}")
    return done.stdout.decode(errors="backslashreplace")


_BEGIN = "export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin\n"


def take(outage: Outage, power: Power | None, limit: int = LIMIT) -> None:
    """Take the part away; returns when it is gone. Raises Failed."""
    if not outage.by_power:
        run(outage.host, outage.take(limit))
        return
    try:
        _switch(outage, power).off(outage.host)
    except NoPower as error:
        raise Failed(str(error)) from None


def give(outage: Outage, power: Power | None) -> None:
    """Bring it back, whatever is left of the outage. Raises Failed.

    What it was is whole a little later: wait for that.
    """
    if not outage.by_power:
        if not outage.reboots:
            run(outage.host, outage.give())
        return
    try:
        _switch(outage, power).on(outage.host)
    except NoPower as error:
        raise Failed(str(error)) from None


def _switch(outage: Outage, power: Power | None) -> Power:
    if power is None:
        raise Failed(f"{outage.host} is switched by its lab, and that is not on this machine")
    return power


def spread_out(master: str, replicas: int) -> None:
    """Make the Deployment, and wait until a replica is on every node. Raises Failed."""
    image = run(master, IMAGE).strip()
    if not image:
        raise Failed(f"{master}: containerd does not tell which image its sandboxes are made of")
    made = shlex.quote(manifest(image, replicas))
    kubectl = f"kubectl --kubeconfig={ADMIN}"
    run(
        master,
        f"printf %s {made} | {kubectl} apply -f - >/dev/null &&\n"
        f"{kubectl} -n {NAME} rollout status deployment/{NAME} --timeout={ROLLOUT}s >/dev/null || "
        f"{{ {kubectl} -n {NAME} get pods -o wide >&2; exit 1; }}",
        ROLLOUT + TIMEOUT,
    )


def clear_spread(master: str) -> None:
    """Delete the Deployment with its namespace; none is fine. Raises Failed."""
    run(
        master,
        f"kubectl --kubeconfig={ADMIN} delete namespace {NAME} --ignore-not-found --wait "
        f"--timeout={ROLLOUT}s >/dev/null",
        ROLLOUT + TIMEOUT,
    )

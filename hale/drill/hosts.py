"""What a drill does on a host: one command, or the power switch."""

import re
import shlex
import time

from hale.connection import TARGETS, CommandTimeout, HostDown, OutputTooLarge, Session, session_for
from hale.drill.loop import Clock
from hale.drill.outage import LIMIT, NoPower, Outage, Power
from hale.drill.spread import ADMIN, IMAGE, NAME, manifest

TIMEOUT = 60.0
#: Seconds for the Deployment to be there on every node, or to be gone.
ROLLOUT = 120


class Failed(Exception):
    """Something could not be done on a host; says what, where and why."""


def run(host: str, script: str, timeout: float = TIMEOUT) -> str:
    """Run a script as root, that may be run twice; returns what it printed. Raises Failed.

    Over the connection that there is; where that was lost, because the host was without power
    in between, over a new one.
    """
    try:
        try:
            said = _done(host, session_for(host), script, timeout)
        except HostDown:
            session = Session(TARGETS[host])
            try:
                said = _done(host, session, script, timeout)
            finally:
                session.close()
    except (HostDown, CommandTimeout, OutputTooLarge) as error:
        raise Failed(str(error)) from None
    return said.decode(errors="backslashreplace")


def _done(host: str, session: Session, script: str, timeout: float) -> bytes:
    done = session.run(f"/bin/sh -c {shlex.quote(f'{_BEGIN}{script}')}", timeout)
    if done.exit_status:
        said = done.stderr.decode(errors="backslashreplace").strip()
        last = "; ".join(said.splitlines()[-3:]) or f"exit status {done.exit_status}"
        raise Failed(f"{host}: {last}")
    return done.stdout


_BEGIN = "export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin\n"


def take(outage: Outage, power: Power | None, limit: int = LIMIT) -> float:
    """Take the part away; returns when it was lost (time.monotonic()). Raises Failed.

    Logging in and getting ready take longer than the blow: the host says when that fell.
    """
    if not outage.by_power:
        return _struck(outage.host, outage.take(limit))
    try:
        switch = _switch(outage, power)
        lost = time.monotonic()
        switch.off(outage.host)
    except NoPower as error:
        raise Failed(str(error)) from None
    return lost


def _struck(host: str, script: str) -> float:
    clock, session = Clock(), session_for(host)
    try:
        for _ in range(3):
            sent = time.monotonic()
            said = session.run("cat /proc/uptime", TIMEOUT).stdout
            clock.read(sent, time.monotonic(), float(said.split()[0]))
        said = _done(host, session, script, TIMEOUT)
    except (HostDown, CommandTimeout, OutputTooLarge) as error:
        raise Failed(str(error)) from None
    found = re.search(rb"^lost ([\d.]+)$", said, re.MULTILINE)
    if not found:
        raise Failed(f"{host} does not say when it lost it")
    return float(found[1]) - clock.offset


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

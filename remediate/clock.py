"""Clocks are set by people: on a host of a cluster a step breaks leases and certificates.

That a time service is installed does not say that it reaches a server, nor which of the
clocks is right; started on the host that is off, it may step the clock at once.

Sources: chrony.conf(5) (makestep), chronyc(1); systemd-timesyncd.service(8); timedatectl(1).
"""

from facts.clock import ClockParameters, ClockRuntime
from hale.model.change import ManualStep, Remedy
from hale.model.requirement import Case


def runtime(fact: ClockRuntime, case: Case[ClockParameters]) -> tuple[Remedy, ...]:
    """Which clocks are apart, how to see which is right, and how to bring the others to it."""
    clocks = ", ".join(f"{o.host} {o.seconds:+.3f} s" for o in fact.offsets)
    return (
        ManualStep(
            f"the hosts' clocks are {fact.spread_seconds:.3f} s apart, and "
            f"{case.parameters.tolerance_seconds} s are allowed; against the operator's: {clocks}. "
            "See on each host who keeps its time, and from where (`timedatectl`; `chronyc sources "
            "-v`; /etc/chrony.conf or /etc/chrony/chrony.conf; /etc/systemd/timesyncd.conf), give "
            "all the same servers, and run one service: `systemctl enable --now chronyd` (Red "
            "Hat), `systemctl enable --now chrony` or `systemd-timesyncd` (Debian). A clock that "
            "is less than some minutes off is best left to slew (`chronyc tracking` shows it). "
            "`chronyc makestep` sets it at once: on a host of a cluster only when that is drained, "
            "and one master at a time, while etcd has all its members."
        ),
    )

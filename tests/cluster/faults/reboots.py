"""Faults of automatic reboots: unattended-upgrades as in Debian, on more than one master.

The package is not in the lab: its program is an empty file, its timer the one of apt.
"""

from lab.faults.fault import ExpectedResult, fail
from tests.cluster.faults.fault import FIRST, SECOND, ClusterFault

CONF = "/etc/apt/apt.conf.d/52site"
PROGRAM = "/usr/bin/unattended-upgrade"
TIMER = "apt-daily-upgrade.timer"
LINK = f"/etc/systemd/system/timers.target.wants/{TIMER}"
KEPT = "/root/link-made"
UNDO = f"rm -f {CONF} {PROGRAM}; [ ! -e {KEPT} ] || rm {LINK} {KEPT}"


def reboots(hour: str) -> str:
    """Upgrades, and a reboot at this hour."""
    return (
        f'printf \'APT::Periodic::Unattended-Upgrade "1";\\n'
        f'Unattended-Upgrade {{ Automatic-Reboot "true"; Automatic-Reboot-Time "{hour}:00"; }};\\n'
        f"' >{CONF} && : >{PROGRAM} &&"
        f" {{ [ -L {LINK} ] || {{ ln -s /lib/systemd/system/{TIMER} {LINK}; : >{KEPT}; }}; }}"
    )


def on_both(name: str, first: str, second: str, turn: ExpectedResult) -> ClusterFault:
    """Reboots of two masters at these hours."""
    return ClusterFault(
        name,
        FIRST,
        inject=((FIRST, reboots(first)), (SECOND, reboots(second))),
        undo=((FIRST, UNDO), (SECOND, UNDO)),
        turns={"HOST-REBOOTS runtime @cluster": turn},
    )


FAULTS = (
    on_both(
        "two masters reboot by themselves in one hour",
        "02",
        "02",
        fail(f"{FIRST} ({CONF}:2), {SECOND} ({CONF}:2) reboot by themselves between 2:00 and"),
    ),
    on_both(
        "two masters reboot by themselves at different hours",
        "02",
        "03",
        ExpectedResult("PASS", f"automatic reboots: {FIRST} from 2:00, {SECOND} from 3:00"),
    ),
)

"""The hosts to remediate: made compliant, then broken by all faults that can be combined.

The faults are those of the fault table, each proven to fail its requirements by itself. Each host
gets all faults of COMBINED, those of firewalld only where it is installed.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lab.faults import baseline, security
from lab.faults.table import FAULTS
from lab.machine import Lab, LabHost

COMBINED = (
    "VIP's name leads to one master",
    "VIP has a master's name as well",
    "cloud-init rewrites /etc/hosts at boot",
    "hostname transient only",
    "hostname right until the next boot",
    "firewalld enabled and running, as Debian leaves it",
    "SELinux enforcing",
    "fstab swap line with tabs",
    "fstab swap line by UUID",
    "fstab swap line by label, in quotes, with few fields",
    "fstab swap file",
    "a .swap unit that a target wants",
    "a zram generator and its file",
    "a service that makes a swap of zram",
    "sysctl won by a later file",
    "sysctl won by /etc/sysctl.conf",
    "sysctl line commented out",
    "bridge's sysctl won by a later file",
    "bridge's sysctl for IPv6 forgotten",
    "forwarding switched off until the next boot",
    "bridge's values switched off until the next boot",
    "module blacklisted",
    "module not named",
    "limit overridden in limits.d",
    "limit of one user beats the line for all",
    "limit of a group beats the line for all",
)


def inject_faults(lab: Lab, inventory: Path) -> None:
    """Give every host a fresh disk, make it compliant, and inject all faults.

    Writes `inventory`: the lab's, with the limits that this machine allows.
    """
    baseline.fresh(lab)
    baseline.make(lab, inventory)
    by_name = {fault.name: fault for fault in FAULTS}
    faults = [by_name[name] for name in COMBINED]

    def one(host: LabHost) -> None:
        host.run("rm -r /etc/kubernetes; systemctl --quiet disable --now stand-in || true")
        for fault in faults:
            if fault.host != security.WALL or host.spec.firewalld:
                host.run(f"set -e\n{fault.inject}")

    with ThreadPoolExecutor(len(lab.hosts)) as pool:
        list(pool.map(one, lab.hosts))

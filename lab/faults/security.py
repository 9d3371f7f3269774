"""Faults of chapter 7: firewalld, the real one, and SELinux's configuration."""

from pathlib import Path

from hale.shell import load_script
from lab.faults.fault import ExpectedResult, HostFault, fail

WALL = "k8s-node-02"
OFF = load_script(Path(__file__).with_name("firewalld_off.sh"))
UNMASK = "systemctl --quiet unmask firewalld"
# It is there before its rules are.
RULES = "for n in $(seq 300); do firewall-cmd -q --state && exit; sleep 0.1; done; exit 1"
CUT_OFF = {
    "NET-REACH runtime @cluster": fail("TCP port 10250 of k8s-node-02 is not reached from k8s-m")
}

SELINUX = "k8s-master-03"
# The lab's kernel has no SELinux; the arguments of the boots to come say that theirs has.
GRUB = "echo 'GRUB_CMDLINE_LINUX=\"security=selinux selinux=1\"' >/etc/default/grub"


def wall(
    name: str, inject: str, turns: dict[str, ExpectedResult], files: tuple[str, ...] = ()
) -> HostFault:
    """A fault of firewalld; afterwards it is masked again, as it was."""
    return HostFault(name, WALL, inject, turns, files, undo=OFF)


def selinux(name: str, config: str, reason: str = "", arguments: str = "") -> HostFault:
    """A configuration of SELinux (as printf writes it), and what it says if it is wrong."""
    more = f"; sed -i 's/selinux=1/& {arguments}/' /etc/default/grub" if arguments else ""
    return HostFault(
        name,
        SELINUX,
        f"mkdir -p /etc/selinux; printf '{config}' >/etc/selinux/config; {GRUB}{more}",
        {"SEC-SELINUX persisted": fail(reason)} if reason else {},
        ("/etc/selinux", "/etc/default/grub"),
    )


FAULTS = (
    # --- FW-FIREWALLD ---
    wall(
        "firewalld enabled and running, as Debian leaves it",
        f"{UNMASK}; systemctl --quiet enable --now firewalld; {RULES}",
        {
            **CUT_OFF,
            "FW-FIREWALLD runtime": fail("firewalld runs as process"),
            "FW-FIREWALLD persisted": fail("has multi-user.target start it"),
        },
    ),
    wall(
        "firewalld masked but running",
        f"{UNMASK}; systemctl start firewalld; systemctl --quiet mask firewalld; {RULES}",
        {**CUT_OFF, "FW-FIREWALLD runtime": fail("firewalld runs as process")},
    ),
    wall(
        "firewalld running outside of systemd",
        f"nohup /usr/sbin/firewalld --nofork >/dev/null 2>&1 & {RULES}",
        {**CUT_OFF, "FW-FIREWALLD runtime": fail("outside of systemd")},
    ),
    HostFault(
        "firewalld's program named by another one's argument",
        "k8s-node-02",
        "nohup tail -f /usr/sbin/firewalld </dev/null >/dev/null 2>&1 & echo $! >/run/tail.pid",
        undo="kill $(cat /run/tail.pid); rm /run/tail.pid",
    ),
    wall(
        "firewalld stopped but enabled",
        f"{UNMASK}; systemctl --quiet enable firewalld",
        {"FW-FIREWALLD persisted": fail("has multi-user.target start it")},
    ),
    wall(
        "firewalld disabled but wanted by another unit",
        f"""{UNMASK}
        printf '[Unit]\\nWants=firewalld.service\\n[Service]\\nExecStart=/bin/true\\n' \
          >/etc/systemd/system/site-network.service
        systemctl daemon-reload
        """,
        {"FW-FIREWALLD persisted": fail("/etc/systemd/system/site-network.service:2 pulls it in")},
        files=("/etc/systemd/system/site-network.service",),
    ),
    wall(
        "firewalld disabled but wanted by a vendor's unit",
        load_script(Path(__file__).with_name("firewalld_vendor_unit.sh")),
        {"FW-FIREWALLD persisted": fail("RequiredBy=vendor.service")},
        files=(
            "/usr/lib/systemd/system/vendor.service",
            "/etc/systemd/system/multi-user.target.wants/vendor.service",
        ),
    ),
    wall(
        "firewalld disabled but D-Bus may start it",
        f"""{UNMASK}
        ln -s /usr/lib/systemd/system/firewalld.service \
          /etc/systemd/system/dbus-org.fedoraproject.FirewallD1.service
        systemctl daemon-reload
        """,
        {"FW-FIREWALLD persisted": fail("is a name for it: dbus-org.fedoraproject")},
        files=("/etc/systemd/system/dbus-org.fedoraproject.FirewallD1.service",),
    ),
    wall(
        "firewalld masked until the next boot only",
        f"{UNMASK}; systemctl --quiet enable firewalld; systemctl --quiet mask --runtime firewalld",
        {"FW-FIREWALLD persisted": fail("has multi-user.target start it")},
        files=("/run/systemd/system/firewalld.service",),
    ),
    wall("firewalld disabled and nothing starts it", UNMASK, {}),
    # --- SEC-SELINUX ---
    selinux("SELinux enforcing", r"SELINUX=enforcing\n", "/etc/selinux/config:1 says enforcing"),
    selinux("SELinux permissive", r"SELINUX=permissive\n", "/etc/selinux/config:1 says permissive"),
    selinux("SELinux Enforcing with a capital", r"SELINUX= Enforcing\n", "config:1 says enforcing"),
    selinux("SELinux with blanks around the `=`", r"SELINUX = disabled\n", "names no mode"),
    selinux("SELinux with a blank in front", r" SELINUX=disabled\n", "names no mode"),
    selinux("SELinux in lower case", r"selinux=disabled\n", "names no mode"),
    selinux("SELinux only in a comment", r"#SELINUX=disabled\n", "names no mode"),
    selinux(
        "SELinux twice, the first counts",
        r"# SELINUX= can be\nSELINUX=enforcing\nSELINUX=disabled\n",
        "/etc/selinux/config:2 says enforcing",
    ),
    selinux(
        "SELinux disabled but an argument enforces",
        r"SELINUX=disabled\n",
        "has enforcing=1",
        arguments="enforcing=1",
    ),
    HostFault(
        "SELinux without a configuration",
        SELINUX,
        GRUB,
        {"SEC-SELINUX persisted": fail("names no mode, and then a boot is permissive")},
        ("/etc/default/grub",),
    ),
    selinux("SELinux disabled, in capitals with a blank behind", r"SELINUX=DISABLED \r\n"),
    selinux(
        "SELinux enforcing, but the boots to come switch it off",
        r"SELINUX=enforcing\n",
        arguments="selinux=0",
    ),
)

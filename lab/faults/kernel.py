"""Faults of chapter 9 (1) to (3) and KERN-*: sysctl.d, modules-load.d, and the kernel's values."""

from pathlib import Path

from hale.shell import load_script
from lab.faults.fault import ExpectedResult, HostFault, fail, unknown

HERE = Path(__file__).parent
HOST = "k8s-node-01"
FOLDERS = ("/etc/sysctl.d", "/run/sysctl.d", "/etc/sysctl.conf")
MODULES = ("/etc/modules-load.d", "/run/modules-load.d", "/etc/modprobe.d")
DROP_INS = "/etc/systemd/system"
OURS = "/etc/sysctl.d/60-kubernetes.conf"
NETWORK = ("SYS-IP-FORWARD", "SYS-BRIDGE-IPTABLES", "SYS-BRIDGE-IP6TABLES")
INOTIFY = ("KERN-INOTIFY-INSTANCES", "KERN-INOTIFY-WATCHES")
SYSCTLS = (*NETWORK, *INOTIFY)
INSTANCES = "fs.inotify.max_user_instances"


def all_persisted(
    reason: str, requirements: tuple[str, ...] = SYSCTLS
) -> dict[str, ExpectedResult]:
    """What makes all of sysctl.d's lines lost, or those of these requirements."""
    return {f"{requirement} persisted": fail(reason) for requirement in requirements}


def forwarding(name: str, inject: str, reason: str, host: str = HOST) -> HostFault:
    """A fault in the files alone, of net.ipv4.ip_forward."""
    return HostFault(name, host, inject, {"SYS-IP-FORWARD persisted": fail(reason)}, FOLDERS)


def harmless(name: str, inject: str) -> HostFault:
    """Lines of sysctl.d that look worse than they are."""
    return HostFault(name, HOST, inject, files=FOLDERS)


def module(name: str, inject: str, reason: str) -> HostFault:
    """A fault in the files that load br_netfilter at boot."""
    return HostFault(name, HOST, inject, {"MOD-BR-NETFILTER persisted": fail(reason)}, MODULES)


FAULTS = (
    # --- SYS-* persisted ---
    forwarding(
        "sysctl won by a later file",
        "echo net.ipv4.ip_forward=0 >/etc/sysctl.d/95-router.conf",
        "/etc/sysctl.d/95-router.conf:1 sets net.ipv4.ip_forward to 0",
    ),
    forwarding(
        "sysctl won by /etc/sysctl.conf",
        "echo net.ipv4.ip_forward=0 >>/etc/sysctl.conf",
        "/etc/sysctl.d/99-sysctl.conf:",
    ),
    forwarding(
        "sysctl won by a file in /run",
        "mkdir -p /run/sysctl.d && echo net.ipv4.ip_forward=0 >/run/sysctl.d/70-vpn.conf",
        "with what /run holds now it is 0 (/run/sysctl.d/70-vpn.conf:1)",
    ),
    forwarding(
        "sysctl only thanks to a file in /run",
        f"mkdir -p /run/sysctl.d && mv {OURS} /run/sysctl.d/ &&"
        f" grep -v ip_forward /run/sysctl.d/60-kubernetes.conf >{OURS} &&"
        " mv /run/sysctl.d/60-kubernetes.conf /run/sysctl.d/61-kubernetes.conf",
        "no line of sysctl.d sets net.ipv4.ip_forward; but with what /run holds now it is 1",
    ),
    forwarding(
        "sysctl with a `-` in front, blanks and tabs",
        r"printf ' \t-net.ipv4.ip_forward \t= 0 \n' >/etc/sysctl.d/95-router.conf",
        "/etc/sysctl.d/95-router.conf:1 sets net.ipv4.ip_forward to 0",
    ),
    forwarding(
        "sysctl spelled with slashes",
        "echo net/ipv4/ip_forward=0 >/etc/sysctl.d/95-router.conf",
        "/etc/sysctl.d/95-router.conf:1 sets net.ipv4.ip_forward to 0",
    ),
    forwarding(
        "sysctl by the kernel's other name for it",
        "echo net.ipv4.conf.all.forwarding=0 >/etc/sysctl.d/95-router.conf",
        "/etc/sysctl.d/95-router.conf:1 sets net.ipv4.ip_forward to 0",
    ),
    forwarding(
        "sysctl line commented out",
        f"sed -i 's/^net.ipv4.ip_forward/#&/' {OURS}",
        "no line of sysctl.d sets net.ipv4.ip_forward",
    ),
    forwarding(
        "sysctl set to what the kernel refuses",
        f"sed -i 's/^net.ipv4.ip_forward.*/net.ipv4.ip_forward = yes/' {OURS}",
        "the kernel refuses 'yes'",
    ),
    forwarding(
        "sysctl only in a /etc/sysctl.conf that no link leads to",
        f"sed -i /ip_forward/d {OURS}; rm /etc/sysctl.d/99-sysctl.conf;"
        " echo net.ipv4.ip_forward=1 >>/etc/sysctl.conf",
        "no link in sysctl.d leads to that file",
    ),
    HostFault(
        "bridge's sysctl won by a later file",
        "k8s-master-02",
        "echo net.bridge.bridge-nf-call-iptables=0 >/etc/sysctl.d/95-libvirt.conf",
        {"SYS-BRIDGE-IPTABLES persisted": fail("/etc/sysctl.d/95-libvirt.conf:1 sets")},
        FOLDERS,
    ),
    HostFault(
        "bridge's sysctl for IPv6 forgotten",
        "k8s-master-02",
        f"sed -i /ip6tables/d {OURS}",
        {"SYS-BRIDGE-IP6TABLES persisted": fail("no line of sysctl.d sets")},
        FOLDERS,
    ),
    HostFault(
        "sysctl file hidden by a link to /dev/null",
        HOST,
        f"mkdir -p /usr/lib/sysctl.d && mv {OURS} /usr/lib/sysctl.d/ && ln -s /dev/null {OURS}",
        all_persisted("no line of sysctl.d sets"),
        (*FOLDERS, "/usr/lib/sysctl.d"),
    ),
    HostFault(
        "sysctl file without .conf at its end",
        HOST,
        f"mv {OURS} {OURS}.bak",
        all_persisted("no line of sysctl.d sets"),
        FOLDERS,
    ),
    HostFault(
        "systemd-sysctl masked",
        HOST,
        "systemctl --quiet mask systemd-sysctl.service",
        all_persisted("systemd-sysctl.service is masked"),
        undo="systemctl --quiet unmask systemd-sysctl.service",
    ),
    HostFault(
        "systemd-sysctl sets only a part",
        "k8s-node-02",
        f"mkdir -p {DROP_INS}/systemd-sysctl.service.d;"
        " printf '[Service]\\nExecStart=\\nExecStart=-%s --prefix=/net/core\\n'"
        f" /lib/systemd/systemd-sysctl >{DROP_INS}/systemd-sysctl.service.d/lxc.conf;"
        " systemctl daemon-reload",
        all_persisted("systemd-sysctl.service set only what is below net/core"),
        (f"{DROP_INS}/systemd-sysctl.service.d",),
        undo="systemctl daemon-reload",
    ),
    HostFault(
        "systemd-sysctl waits for a condition",
        HOST,
        f"mkdir -p {DROP_INS}/systemd-sysctl.service.d;"
        " printf '[Unit]\\nConditionPathExists=/etc/site\\n'"
        f" >{DROP_INS}/systemd-sysctl.service.d/site.conf",
        {
            f"{requirement} persisted": unknown("has ConditionPathExists=/etc/site")
            for requirement in SYSCTLS
        },
        (f"{DROP_INS}/systemd-sysctl.service.d",),
    ),
    HostFault(
        "forwarding switched off again by ufw's own file",
        HOST,
        load_script(HERE / "forwarding_ufw.sh"),
        {"SYS-IP-FORWARD persisted": fail("/etc/ufw/sysctl.conf:1 sets it after")},
        ("/etc/ufw", "/etc/default/ufw", "/etc/systemd/system/multi-user.target.wants/ufw.service"),
    ),
    HostFault(
        "forwarding switched off again by a script of a site's unit",
        HOST,
        load_script(HERE / "forwarding_unit.sh"),
        {"SYS-IP-FORWARD persisted": fail("/opt/site/harden:2 sets it after")},
        (
            "/opt/site",
            "/etc/systemd/system/harden.service",
            "/etc/systemd/system/multi-user.target.wants/harden.service",
        ),
    ),
    HostFault(
        "forwarding switched off for one interface as it comes up",
        HOST,
        "sed -i '/^iface lo inet loopback/a up sysctl -w net.ipv4.conf.eth0.forwarding=0'"
        " /etc/network/interfaces",
        {"SYS-IP-FORWARD persisted": fail("/etc/network/interfaces:")},
        ("/etc/network/interfaces",),
    ),
    HostFault(
        "forwarding switched off by what starts nowhere, and by what says so in a comment",
        HOST,
        load_script(HERE / "forwarding_idle.sh"),
        files=("/etc/systemd/system/harden.service", "/etc/ufw", "/etc/rc.local"),
    ),
    # --- SYS-* runtime ---
    HostFault(
        "forwarding switched off for one interface",
        "k8s-node-02",
        "sysctl -qw net.ipv4.conf.eth0.forwarding=0;"
        " echo 'net.ipv4.conf.eth0.forwarding = 0' >/etc/sysctl.d/zz-site.conf",
        {
            "SYS-IP-FORWARD runtime": fail("but net.ipv4.conf.eth0.forwarding is 0"),
            "SYS-IP-FORWARD persisted": fail(
                "but /etc/sysctl.d/zz-site.conf:1 sets net.ipv4.conf.eth0.forwarding to 0"
            ),
        },
        FOLDERS,
        undo="sysctl -qw net.ipv4.conf.eth0.forwarding=1",
    ),
    HostFault(
        "forwarding switched off until the next boot",
        HOST,
        "sysctl -qw net.ipv4.ip_forward=0",
        {"SYS-IP-FORWARD runtime": fail("net.ipv4.ip_forward is 0")},
        undo="sysctl -qw net.ipv4.ip_forward=1",
    ),
    HostFault(
        "bridge's values switched off until the next boot",
        "k8s-master-03",
        "sysctl -qw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0",
        {
            "SYS-BRIDGE-IPTABLES runtime": fail("net.bridge.bridge-nf-call-iptables is 0"),
            "SYS-BRIDGE-IP6TABLES runtime": fail("net.bridge.bridge-nf-call-ip6tables is 0"),
        },
        undo="sysctl -qw net.bridge.bridge-nf-call-iptables=1"
        " net.bridge.bridge-nf-call-ip6tables=1",
    ),
    HostFault(
        "all sysctls won by a later file, after a boot",
        HOST,
        "sed 's/= 1/= 0/' /etc/sysctl.d/60-kubernetes.conf >/etc/sysctl.d/95-router.conf",
        {
            **all_persisted("/etc/sysctl.d/95-router.conf:", NETWORK),
            "SYS-IP-FORWARD runtime": fail("net.ipv4.ip_forward is 0"),
            "SYS-BRIDGE-IPTABLES runtime": fail("net.bridge.bridge-nf-call-iptables is 0"),
            "SYS-BRIDGE-IP6TABLES runtime": fail("net.bridge.bridge-nf-call-ip6tables is 0"),
        },
        files=FOLDERS,
        reboot=True,
    ),
    HostFault(
        "forwarding never persisted, after a boot",
        HOST,
        f"sed -i /ip_forward/d {OURS}",
        {
            "SYS-IP-FORWARD runtime": fail("net.ipv4.ip_forward is 0"),
            "SYS-IP-FORWARD persisted": fail("no line of sysctl.d sets net.ipv4.ip_forward"),
        },
        files=FOLDERS,
        reboot=True,
    ),
    harmless(
        "sysctl lost in an earlier file",
        "echo net.ipv4.ip_forward=0 >/etc/sysctl.d/10-router.conf",
    ),
    harmless(
        "sysctl in a comment with `;`",
        "printf ';net.ipv4.ip_forward=0\\n# net.ipv4.ip_forward=0\\n' >/etc/sysctl.d/95-old.conf",
    ),
    HostFault(
        "sysctl by a pattern that spares what lines name",
        HOST,
        "echo 'net.bridge.bridge-nf-call-* = 0' >/etc/sysctl.d/95-libvirt.conf",
        files=FOLDERS,
        reboot=True,
    ),
    # --- KERN-INOTIFY-* ---
    HostFault(
        "inotify's instances lowered by a later file, after a boot",
        HOST,
        f"echo {INSTANCES}=128 >/etc/sysctl.d/95-site.conf",
        {
            "KERN-INOTIFY-INSTANCES persisted": fail("/etc/sysctl.d/95-site.conf:1 sets"),
            "KERN-INOTIFY-INSTANCES runtime": fail(f"{INSTANCES} is 128"),
        },
        FOLDERS,
        reboot=True,
    ),
    HostFault(
        "inotify's limits as the kernel has them, until the next boot",
        "k8s-master-03",
        f"sysctl -qw {INSTANCES}=128 fs.inotify.max_user_watches=65536",
        {
            "KERN-INOTIFY-INSTANCES runtime": fail(f"{INSTANCES} is 128"),
            "KERN-INOTIFY-WATCHES runtime": fail("fs.inotify.max_user_watches is 65536"),
        },
        undo=f"sysctl -qw {INSTANCES}=512 fs.inotify.max_user_watches=524288",
    ),
    HostFault(
        "inotify's watches never persisted",
        HOST,
        f"sed -i /max_user_watches/d {OURS}",
        {"KERN-INOTIFY-WATCHES persisted": fail("no line of sysctl.d sets fs.inotify.max_user_w")},
        FOLDERS,
    ),
    HostFault(
        "inotify's limits raised further, by a file and in the kernel",
        "k8s-node-02",
        f"echo {INSTANCES}=8192 >/etc/sysctl.d/95-site.conf; sysctl -qw {INSTANCES}=8192",
        files=FOLDERS,
        undo=f"sysctl -qw {INSTANCES}=512",
    ),
    # --- MOD-BR-NETFILTER persisted ---
    module(
        "module blacklisted",
        "echo 'blacklist br_netfilter' >/etc/modprobe.d/site.conf",
        "/etc/modprobe.d/site.conf:1 blacklists it",
    ),
    module(
        "module blacklisted with a dash in its name",
        "printf '\\n blacklist\\tbr-netfilter\\n' >/etc/modprobe.d/site.conf",
        "/etc/modprobe.d/site.conf:2 blacklists it",
    ),
    module(
        "module installed away",
        "echo 'install br_netfilter /bin/false' >/etc/modprobe.d/site.conf",
        "runs a command instead of loading br_netfilter",
    ),
    module(
        "module's own need installed away",
        "echo 'install bridge /bin/true' >/etc/modprobe.d/site.conf",
        "instead of loading bridge, which br_netfilter needs",
    ),
    module(
        "module not named",
        "rm /etc/modules-load.d/kubernetes.conf",
        "no line of modules-load.d names br_netfilter",
    ),
    module(
        "module's name with a comment behind it",
        "echo 'br_netfilter # bridges' >/etc/modules-load.d/kubernetes.conf",
        "only the name may stand in a line",
    ),
    module(
        "module named in /run alone",
        "mkdir -p /run/modules-load.d && mv /etc/modules-load.d/kubernetes.conf"
        " /run/modules-load.d/",
        "does, but a boot empties /run",
    ),
    HostFault(
        "systemd-modules-load masked",
        HOST,
        "systemctl --quiet mask systemd-modules-load.service",
        {"MOD-BR-NETFILTER persisted": fail("masks systemd-modules-load.service")},
        undo="systemctl --quiet unmask systemd-modules-load.service",
    ),
    HostFault(
        "module blacklisted in the boot menu",
        "k8s-node-02",
        "mkdir -p /boot/grub;"
        " printf 'menuentry Debian {\\n linux /vmlinuz ro module_blacklist=br_netfilter\\n}\\n'"
        " >/boot/grub/grub.cfg",
        {"MOD-BR-NETFILTER persisted": fail("/boot/grub/grub.cfg:2 blacklists br_netfilter")},
        ("/boot/grub",),
    ),
    HostFault(
        "systemd-modules-load replaced by a command that does nothing",
        HOST,
        f"mkdir -p {DROP_INS}/systemd-modules-load.service.d;"
        " printf '[Service]\\nExecStart=\\nExecStart=/bin/true\\n'"
        f" >{DROP_INS}/systemd-modules-load.service.d/site.conf",
        {"MOD-BR-NETFILTER persisted": fail("run /bin/true instead of systemd-modules-load")},
        (f"{DROP_INS}/systemd-modules-load.service.d",),
    ),
    HostFault(
        "module named with a dash, and blacklisted in a comment",
        HOST,
        "echo br-netfilter >/etc/modules-load.d/kubernetes.conf;"
        " echo '#blacklist br_netfilter' >/etc/modprobe.d/site.conf",
        files=MODULES,
    ),
)

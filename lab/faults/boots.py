"""What a boot runs beside its files: commands, hooks and drop-ins that undo what the files set.

On hosts of the lab a power cycle shows each of them; here most are audited without one.
"""

from collections.abc import Mapping, Sequence

from lab.faults.fault import ExpectedResult, HostFault, fail, unknown

HOST = "k8s-node-02"
ADDRESS = "10.208.1.198"
SYSTEM = "/etc/systemd/system"
PACKAGED = "/usr/lib/systemd/system"
LINKS = f"{SYSTEM}/multi-user.target.wants"
INTERFACES = "/etc/network/interfaces"


def unit(
    name: str,
    command: str,
    turns: Mapping[str, ExpectedResult],
    files: Sequence[str] = (),
    folder: str = SYSTEM,
    reboot: bool = False,
) -> HostFault:
    """A fault by the command of a unit that is enabled. command: as printf writes it."""
    path = f"{folder}/site.service"
    service = rf"[Service]\nType=oneshot\nExecStart={command}\n"
    text = rf"{service}[Install]\nWantedBy=multi-user.target\n"
    inject = f"printf '{text}' >{path}; systemctl --quiet enable site"
    files = (path, f"{LINKS}/site.service", *files)
    return HostFault(name, HOST, inject, turns, files, "systemctl daemon-reload", reboot)


def script(name: str, path: str, line: str, turns: Mapping[str, ExpectedResult]) -> HostFault:
    """A fault by a line of a script that a boot runs."""
    inject = f"printf '#!/bin/sh\\n%s\\n' {line!r} >{path}; chmod 755 {path}"
    return HostFault(name, HOST, inject, turns, (path,))


def drop_in(
    name: str,
    of: str,
    text: str,
    turns: Mapping[str, ExpectedResult],
    reboot: bool = False,
) -> HostFault:
    """A fault by a drop-in of a unit. text: as printf writes it."""
    folder = f"{SYSTEM}/{of}.d"
    inject = f"mkdir -p {folder}; printf '{text}' >{folder}/zz-site.conf; systemctl daemon-reload"
    undo = f"systemctl daemon-reload; systemctl start {of}"
    return HostFault(name, HOST, inject, turns, (folder,), undo, reboot)


def swaps(reason: str) -> Mapping[str, ExpectedResult]:
    """Swap is on after a boot, for this reason."""
    return {"SWAP-OFF persisted": fail(reason)}


ITEMS = ("NOFILE", "NPROC", "MEMLOCK", "ROOT-NOFILE", "ROOT-NPROC", "ROOT-MEMLOCK")
HOSTS_LOST = {"HOSTS-VIP persisted": unknown("may write /etc/hosts after a boot")}
NAMED = {"NAME-HOSTNAME persisted": fail("site.service:3 sets the hostname to other-name")}
NO_TIME = "a boot starts no program that synchronizes the clock"
REPLACED = r"[Service]\nType=oneshot\nExecStart=\nExecStart=/bin/true\n"
CONDITION = r"[Unit]\nConditionPathExists=/etc/never\n"
FORWARDING = {"SYS-IP-FORWARD persisted": fail("sets it after systemd-sysctl.service")}
DATA_SWAP = f"printf '[Swap]\\nWhat=/nofile\\n' >{SYSTEM}/data.swap; "

FAULTS = (
    # --- files that a boot writes again ---
    unit(
        "a unit copies another /etc/hosts",
        "/bin/cp /root/hosts.template /etc/hosts",
        HOSTS_LOST,
    ),
    script(
        "a script of the network's start rewrites /etc/hosts",
        "/etc/network/if-up.d/zz-hosts",
        "grep -v k8s-vip /etc/hosts >/run/h; cat /run/h >/etc/hosts",
        HOSTS_LOST,
    ),
    script(
        "rc.local deletes lines of others from /etc/hosts",
        "/etc/rc.local",
        "sed -i '/Added by a cloud/d' /etc/hosts",
        {},
    ),
    HostFault(
        "/etc/hosts leads to a disk that is mounted by hand",
        HOST,
        "mkdir -p /root/d /data; cp -p /etc/hosts /root/d/; mount --bind /root/d /data;"
        " ln -sf /data/hosts /etc/hosts",
        {"HOSTS-VIP persisted": fail("neither /etc/fstab nor a unit mounts /data at boot")},
        ("/etc/hosts",),
        undo="umount /data; rm -rf /root/d /data",
    ),
    HostFault(
        "cloud-init rewrites /etc/hosts by a file in JSON",
        HOST,
        "install -m 755 /bin/true /usr/bin/cloud-init; mkdir -p /etc/cloud/cloud.cfg.d;"
        """ printf '{\n  "manage_etc_hosts": true\n}\n' >/etc/cloud/cloud.cfg.d/99.cfg""",
        {"HOSTS-VIP persisted": fail("/etc/cloud/cloud.cfg.d/99.cfg:2 says")},
        ("/usr/bin/cloud-init", "/etc/cloud"),
    ),
    # --- the host's name ---
    unit(
        "a unit names the host, after a boot",
        "/bin/hostname other-name",
        {
            **NAMED,
            "NAME-HOSTNAME runtime": fail("the running hostname is other-name"),
        },
        reboot=True,
    ),
    script(
        "a script of the network's start names the host",
        "/etc/network/if-up.d/zz-name",
        "hostname dhcp-10-1",
        {"NAME-HOSTNAME persisted": unknown("may name the host otherwise after a boot")},
    ),
    unit(
        "a unit gives a name that the static one outranks",
        "/usr/bin/hostnamectl set-hostname --transient other-name",
        {},
    ),
    HostFault(
        "a kernel parameter names the host",
        HOST,
        "echo 'kernel.hostname = other-name' >/etc/sysctl.d/90-name.conf",
        {"NAME-HOSTNAME persisted": fail("90-name.conf:1 sets the hostname to other-name")},
        ("/etc/sysctl.d/90-name.conf",),
    ),
    # --- addresses ---
    drop_in(
        "ifupdown's unit runs another command",
        "networking.service",
        REPLACED,
        {"NODES-ADDRESS persisted": fail("has networking.service run /bin/true instead of ifup")},
    ),
    drop_in(
        "ifupdown's unit waits for a condition",
        "networking.service",
        CONDITION,
        {"NODES-ADDRESS persisted": unknown("zz-site.conf:2 has ConditionPathExists=/etc/never")},
    ),
    HostFault(
        "ifupdown's defaults exclude the card",
        HOST,
        "echo EXCLUDE_INTERFACES=eth0 >/etc/default/networking",
        {"NODES-ADDRESS persisted": fail("/etc/default/networking:1 excludes eth0")},
        ("/etc/default/networking",),
    ),
    unit(
        "a unit flushes the card's addresses",
        "/sbin/ip address flush dev eth0",
        {"NODES-ADDRESS persisted": unknown(f"may take {ADDRESS} away after a boot")},
    ),
    # --- swap ---
    unit(
        "swapon through sudo", "/usr/bin/sudo -u root swapon /nofile", swaps("site.service:3 runs")
    ),
    HostFault(
        "swapon on a schedule of cron",
        HOST,
        "mkdir -p /etc/cron.d; echo '*/5 * * * * root /sbin/swapon -a' >/etc/cron.d/heal",
        swaps("/etc/cron.d/heal:1 runs `/sbin/swapon -a` on its schedule"),
        ("/etc/cron.d/heal",),
    ),
    HostFault(
        "swapon in a rule of udev",
        HOST,
        "mkdir -p /etc/udev/rules.d;"
        """ echo 'KERNEL=="zram0", RUN+="/sbin/swapon /dev/zram0"' >/etc/udev/rules.d/99.rules""",
        {"SWAP-OFF persisted": unknown("/etc/udev/rules.d/99.rules:1 runs `/sbin/swapon")},
        ("/etc/udev/rules.d/99.rules",),
    ),
    HostFault(
        "swapon by a timer of another name",
        HOST,
        f"printf '[Service]\\nExecStart=/sbin/swapon /nofile\\n' >{SYSTEM}/mk.service;"
        " printf '[Timer]\\nOnBootSec=1y\\nUnit=mk.service\\n[Install]\\nWantedBy=timers.target\\n'"
        f" >{SYSTEM}/heal.timer; systemctl --quiet enable heal.timer",
        swaps("/etc/systemd/system/mk.service:2 runs `/sbin/swapon /nofile` at boot"),
        (
            f"{SYSTEM}/mk.service",
            f"{SYSTEM}/heal.timer",
            f"{SYSTEM}/timers.target.wants/heal.timer",
        ),
    ),
    HostFault(
        "a .swap unit that a service wants",
        HOST,
        f"{DATA_SWAP}printf '[Unit]\\nWants=data.swap\\n[Service]\\nExecStart=/bin/true\\n"
        f"[Install]\\nWantedBy=multi-user.target\\n' >{SYSTEM}/site.service;"
        " systemctl --quiet enable site",
        swaps("data.swap is pulled in by site.service"),
        (f"{SYSTEM}/data.swap", f"{SYSTEM}/site.service", f"{LINKS}/site.service"),
    ),
    HostFault(
        "swapon as ifupdown brings the card up",
        HOST,
        f"printf '\\tup swapon -a\\n' >>{INTERFACES}",
        swaps("runs `swapon -a` at boot"),
        (INTERFACES,),
    ),
    # --- kernel parameters and modules ---
    unit(
        "forwarding switched off by a package's unit",
        "/sbin/sysctl -qw net.ipv4.ip_forward=0",
        FORWARDING,
        folder=PACKAGED,
    ),
    unit(
        "module unloaded again by a package's unit",
        "/sbin/rmmod br_netfilter",
        {"MOD-BR-NETFILTER persisted": fail("site.service:3 unloads it again")},
        folder=PACKAGED,
    ),
    # --- time ---
    drop_in(
        "time program's unit runs another command, after a boot",
        "chrony.service",
        REPLACED,
        {
            "TIME-SYNC persisted": fail(f"{NO_TIME}: {SYSTEM}/chrony.service.d/zz-site.conf:4"),
            "TIME-SYNC runtime": fail("no program synchronizes the clock"),
        },
        reboot=True,
    ),
    HostFault(
        "time source is offline from the next start on",
        HOST,
        "sed -i '/^server/s/$/ offline/' /etc/chrony/chrony.conf",
        {"TIME-SYNC persisted": unknown("is offline until something runs `chronyc online`")},
        ("/etc/chrony/chrony.conf",),
    ),
    # --- firewalls ---
    unit(
        "iptables' rules restored by a unit of the site",
        "/sbin/iptables-restore /etc/fw.rules",
        {"FW-IPTABLES persisted": unknown("site.service:3 may load rules after a boot")},
    ),
    script(
        "iptables' rules restored before the network is up",
        "/etc/network/if-pre-up.d/iptables",
        "/sbin/iptables-restore </etc/iptables.up.rules",
        {"FW-IPTABLES persisted": unknown("if-pre-up.d/iptables:2 may load rules after a boot")},
    ),
    unit(
        "nftables' rules loaded by a unit of the site",
        "/usr/sbin/nft -f /etc/site.nft",
        {"FW-NFTABLES persisted": unknown("site.service:3 may load rules after a boot")},
    ),
    unit(
        "firewalld's program in a unit of the site",
        "/usr/sbin/firewalld --nofork --nopid",
        {"FW-FIREWALLD persisted": fail("site.service:3 runs the program itself at boot")},
    ),
    # --- limits ---
    HostFault(
        "sshd is started without PAM",
        HOST,
        """echo 'SSHD_OPTS="-o UsePAM=no"' >/etc/default/ssh; systemctl restart ssh""",
        {
            **{
                f"LIM-{item} runtime": fail("sshd's own limits: logins bypass PAM")
                for item in ("NOFILE", "ROOT-NOFILE")
            },
            **{
                f"LIM-{item} persisted": fail("logins bypass PAM: /etc/default/ssh:1 starts sshd")
                for item in ITEMS
            },
        },
        ("/etc/default/ssh",),
        undo="systemctl restart ssh",
    ),
    HostFault(
        "a jump of PAM's stack may leave the limits out",
        HOST,
        "sed -i '/pam_limits/i session [success=1 default=ignore] pam_succeed_if.so uid ge 1000'"
        " /etc/pam.d/sshd",
        {
            f"LIM-{item} {aspect}": unknown("may leave pam_limits.so out of a login")
            for item in ITEMS
            for aspect in ("persisted", "runtime")
        },
        ("/etc/pam.d/sshd",),
    ),
)

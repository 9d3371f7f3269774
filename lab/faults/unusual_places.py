"""Where few look: folders of portable services, credentials, other users' access to a file, stanzas
and crontabs that no boot reads, settings over several lines, names with blanks.

A power cut shows what a boot makes of most of them.
"""

from collections.abc import Mapping, Sequence

from lab.faults import services
from lab.faults.boots import LINKS, SYSTEM
from lab.faults.fault import ExpectedResult, HostFault, fail, unknown
from lab.faults.services import (
    CONTAINERD,
    HIGH,
    LOW,
    SECTION,
    installed,
    runs,
    started,
    starts,
    written,
)

HOST = "k8s-node-01"
OFF = "net.ipv4.ip_forward=0"
SYSCTL = f"/usr/sbin/sysctl -qw {OFF}"
ATTACHED = "/etc/systemd/system.attached"
STORE = "/etc/credstore"
GENERATORS = "/etc/systemd/system-generators"
ONESHOT = r"[Service]\nType=oneshot\n"
WANTED = r"[Install]\nWantedBy=multi-user.target\n"
RELOAD = "systemctl daemon-reload"
SYSCTL_DROP_IN = f"{SYSTEM}/systemd-sysctl.service.d"
OWN_DROP_IN = f"{SYSTEM}/{CONTAINERD}.d"
LOWERED = f"{ATTACHED}/{CONTAINERD}.d/zz.conf"
NOFILE = "SVC-CONTAINERD-NOFILE"
# The stand-in's other limits.
OTHERS_PASS = {
    f"SVC-CONTAINERD-{item} {aspect}": ExpectedResult("PASS", f"containerd.service {word} with")
    for item in ("NPROC", "MEMLOCK")
    for aspect, word in (("runtime", "runs"), ("persisted", "starts"))
}
FORWARDING_OFF = fail("net.ipv4.ip_forward is 0")
NOTHING = fail("master.k8s.io resolves to nothing; k8s-vip resolves to nothing")
PRIVATE = {
    "HOSTS-VIP runtime": NOTHING,
    "HOSTS-VIP persisted": fail("users other than root cannot read /etc/hosts"),
}
# Rows about the next boot that rest on the programs that it runs.
PARAMETERS = (
    "SYS-IP-FORWARD", "SYS-BRIDGE-IPTABLES", "SYS-BRIDGE-IP6TABLES", "KERN-INOTIFY-INSTANCES",
    "KERN-INOTIFY-WATCHES",
)  # fmt: skip
BOOT_PROGRAMS = (
    *PARAMETERS, "NODES-ADDRESS", "HOSTS-VIP", "NAME-HOSTNAME", "SEC-SELINUX", "SWAP-OFF",
    "MOD-BR-NETFILTER", "LIM-NOFILE", "LIM-NPROC", "LIM-MEMLOCK", "FW-NFTABLES", "FW-IPTABLES",
    "TIME-SYNC", "LIM-ROOT-NOFILE", "LIM-ROOT-NPROC", "LIM-ROOT-MEMLOCK",
)  # fmt: skip


def booted(
    name: str, inject: str, turns: Mapping[str, ExpectedResult], files: Sequence[str]
) -> HostFault:
    """A fault that a power cut shows."""
    return HostFault(name, HOST, inject, turns, files, RELOAD, reboot=True)


def forwarding(name: str, file: str, text: str) -> HostFault:
    """A file by which a boot switches forwarding off. text: as printf writes it."""
    turns = {
        "SYS-IP-FORWARD runtime": FORWARDING_OFF,
        "SYS-IP-FORWARD persisted": fail(f"but {file}:"),
    }
    return booted(name, written(file, text), turns, (file.rpartition("/")[0],))


FAULTS = (
    # --- who may read it ---
    HostFault(
        "/etc/hosts is readable by root alone",
        HOST,
        "chmod 600 /etc/hosts",
        PRIVATE,
        ("/etc/hosts",),
    ),
    HostFault(
        "/etc/hosts leads into root's own folder",
        HOST,
        "cp -p /etc/hosts /root/hosts; ln -sf /root/hosts /etc/hosts",
        PRIVATE,
        ("/etc/hosts", "/root/hosts"),
    ),
    # --- folders of portable services ---
    services.service(
        "a drop-in of a portable service lowers containerd's limit",
        CONTAINERD,
        f"{installed(CONTAINERD, HIGH)}; "
        + written(LOWERED, SECTION + LOW)
        + f"; {started(CONTAINERD)}",
        {**runs("CONTAINERD"), **starts("CONTAINERD", LOWERED, 2)},
        (ATTACHED,),
        reboot=True,
    ),
    forwarding(
        "a drop-in of a portable service switches forwarding off",
        f"{ATTACHED}/networking.service.d/x.conf",
        rf"[Service]\nExecStartPost={SYSCTL}\n",
    ),
    booted(
        "swap by a unit of a portable service",
        written(f"{ATTACHED}/site.service", rf"{ONESHOT}ExecStart=/sbin/swapon /nofile\n")
        + f"; ln -s {ATTACHED}/site.service {LINKS}/site.service",
        {"SWAP-OFF persisted": fail(f"{ATTACHED}/site.service:3 runs `/sbin/swapon /nofile`")},
        (ATTACHED, f"{LINKS}/site.service"),
    ),
    # --- credentials ---
    forwarding("a credential of systemd-sysctl", f"{STORE}/sysctl.extra", rf"{OFF}\n"),
    booted(
        "a credential of systemd-sysctl in a drop-in",
        written(f"{SYSCTL_DROP_IN}/x.conf", rf"[Service]\nSetCredential=sysctl.extra:{OFF}\n"),
        {
            "SYS-IP-FORWARD runtime": FORWARDING_OFF,
            **{
                f"{row} persisted": unknown(f"{SYSCTL_DROP_IN}/x.conf:2 gives systemd-sysctl")
                for row in PARAMETERS
            },
        },
        (SYSCTL_DROP_IN,),
    ),
    forwarding(
        "a credential of systemd-tmpfiles writes a parameter",
        f"{STORE}/tmpfiles.extra",
        r"w /proc/sys/net/ipv4/ip_forward - - - - 0\n",
    ),
    HostFault(
        "a credential of systemd-tmpfiles removes /etc/hosts at the next boot",
        HOST,
        written(f"{STORE}/tmpfiles.extra", r"r! /etc/hosts\n"),
        {"HOSTS-VIP persisted": fail(f"{STORE}/tmpfiles.extra:1 removes /etc/hosts at boot")},
        (STORE,),
    ),
    # --- what no boot reads ---
    booted(
        "forwarding switched off for an interface that no boot brings up",
        rf"printf '\niface eth9 inet manual\n\tup {SYSCTL}\n' >>/etc/network/interfaces",
        {},
        ("/etc/network/interfaces",),
    ),
    booted(
        "forwarding switched off by a crontab that cron passes over",
        f"install -m 755 /bin/true /usr/sbin/cron;"
        f" echo '@reboot root {SYSCTL}' >/etc/cron.d/site.disabled",
        {},
        ("/etc/cron.d/site.disabled", "/usr/sbin/cron"),
    ),
    # --- over several lines, with blanks ---
    services.service(
        "a shell of several lines lowers containerd's limit",
        CONTAINERD,
        f"{installed(CONTAINERD, HIGH)};"
        f" mkdir -p {OWN_DROP_IN}; printf '[Service]\\nExecStart=\\nExecStart=/bin/sh -c \\\\\\n"
        f' "ulimit -n 1024; exec /bin/sleep infinity"\\n\' >{OWN_DROP_IN}/zz.conf;'
        f" {started(CONTAINERD)}",
        {
            f"{NOFILE} runtime": fail("runs with nofile soft 1024, hard 1024"),
            f"{NOFILE} persisted": unknown("changes the limits that systemd sets"),
            **OTHERS_PASS,
            "DISK-CONTAINERD runtime": unknown(f"{OWN_DROP_IN}/zz.conf:3 has containerd read"),
        },
        (OWN_DROP_IN,),
        reboot=True,
    ),
    booted(
        "a script in a variable of a file that is named after blanks",
        written("/etc/site.env", r"BOOT=/opt/site/boot\n")
        + "; "
        + written("/opt/site/boot", r"#!/bin/sh\nswapon /nofile\n")
        + "; chmod 755 /opt/site/boot; "
        + written(
            f"{SYSTEM}/site.service",
            rf"{ONESHOT}EnvironmentFile = /etc/site.env\nExecStart=/bin/sh $BOOT\n{WANTED}",
        )
        + "; systemctl -q enable site",
        {"SWAP-OFF persisted": unknown("/opt/site/boot:2 runs `swapon /nofile` at boot")},
        ("/opt/site", "/etc/site.env", f"{SYSTEM}/site.service", f"{LINKS}/site.service"),
    ),
    booted(
        "a generator with a blank in its name",
        f"mkdir -p {GENERATORS}; cp /bin/true '{GENERATORS}/my site'",
        {
            f"{row} persisted": unknown(f"{GENERATORS} has a program whose name has blanks")
            for row in BOOT_PROGRAMS
        },
        (GENERATORS,),
    ),
)

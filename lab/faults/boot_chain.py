"""What a boot comes to by another way: targets, templates, variables, fstab, tunnels, conflicts.

A power cycle showed each of them on a host of the lab; here most are audited without one.
"""

from collections.abc import Mapping, Sequence

from lab.faults.boots import ITEMS, LINKS, SYSTEM
from lab.faults.fault import ExpectedResult, HostFault, fail, unknown

HOST = "k8s-node-01"
WANTED = r"[Install]\nWantedBy=multi-user.target\n"
ONESHOT = r"[Service]\nType=oneshot\n"
MAKES_SWAP = "/usr/local/sbin/make-swap"
SCRIPT = rf"printf '#!/bin/sh\nswapon /nofile\n' >{MAKES_SWAP}; chmod 755 {MAKES_SWAP}; "
SITE = f"{SYSTEM}/site.service"
RUN, RUNS = f"{SYSTEM}/run@.service", f"{LINKS}/run@make-swap.service"
NAMES_HOST = rf"{ONESHOT}ExecStart=/bin/hostname other-name\n"
NOT_SYNCED = "a boot starts no program that synchronizes the clock"
CHRONY = f"{SYSTEM}/chrony.service.d"
MULTI_USER, GRAPHICAL = (
    f"{SYSTEM}/{t}.target.wants/chrony.service" for t in ("multi-user", "graphical")
)
RC = "/etc/rc.local"
TUNNEL = (
    "/etc/wireguard", "/usr/bin/wg-quick", "/usr/lib/systemd/system/wg-quick@.service",
    f"{LINKS}/wg-quick@wg0.service",
)  # fmt: skip
RELOAD = "systemctl daemon-reload"


def chained(
    name: str, inject: str, turns: Mapping[str, ExpectedResult], files: Sequence[str]
) -> HostFault:
    """A fault in files that systemd reads."""
    return HostFault(name, HOST, inject, turns, files, undo=RELOAD)


def unit(name: str, text: str, enable: bool = True) -> str:
    """A command that writes a unit of the site, and enables it. text: as printf writes it."""
    return f"printf '{text}' >{SYSTEM}/{name}; " + (
        f"systemctl --quiet enable {name}; " if enable else ""
    )


def rc_local(*lines: str) -> str:
    """A command that writes rc.local."""
    text = r"\n".join(("#!/bin/sh", *lines))
    return rf"printf '{text}\n' >{RC}; chmod 755 {RC}; "


SWAPS = {"SWAP-OFF persisted": unknown(f"{MAKES_SWAP}:2 runs `swapon /nofile` at boot")}
NO_BOOT = "/srv/gone.img at /data, and it is not there: without nofail the boot ends at emergency"

FAULTS = (
    chained(
        "a line of fstab whose disk image is gone",
        "echo '/srv/gone.img /data ext4 loop 0 0' >>/etc/fstab",
        {"TIME-SYNC persisted": fail(NO_BOOT), "NODES-ADDRESS persisted": fail(NO_BOOT)},
        ("/etc/fstab",),
    ),
    chained(
        "lines of fstab that end no boot: nofail, noauto, a bind mount, a network's",
        r"printf '/srv/gone.img /a ext4 loop,nofail 0 0\n/srv/gone.img /b ext4 loop,noauto 0 0\n"
        r"/srv/gone /c none bind 0 0\n10.208.1.1:/x /d nfs defaults 0 0\n' >>/etc/fstab",
        {},
        ("/etc/fstab",),
    ),
    chained(
        "a unit that a line of fstab requires names the host",
        "echo 'tmpfs /scratch tmpfs x-systemd.requires=site.service 0 0' >>/etc/fstab; "
        + unit("site.service", NAMES_HOST, enable=False),
        {"NAME-HOSTNAME persisted": fail(f"{SITE}:3 sets the hostname to other-name")},
        ("/etc/fstab", SITE),
    ),
    chained(
        "a target of the site wants a unit with swapon",
        SCRIPT
        + unit("site.service", rf"{ONESHOT}ExecStart={MAKES_SWAP}\n", enable=False)
        + unit("site.target", rf"[Unit]\nWants=site.service\n{WANTED}"),
        SWAPS,
        (MAKES_SWAP, SITE, f"{SYSTEM}/site.target", f"{LINKS}/site.target"),
    ),
    chained(
        "an instance of a template runs a script of its name",
        SCRIPT
        + rf"printf '{ONESHOT}ExecStart=/usr/local/sbin/%%i\n{WANTED}' >{RUN}; "
        + "systemctl --quiet enable run@make-swap.service",
        SWAPS,
        (MAKES_SWAP, RUN, RUNS),
    ),
    chained(
        "a unit runs a script that a variable names",
        SCRIPT
        + f"echo SCRIPT={MAKES_SWAP} >/etc/default/site; "
        + unit(
            "site.service",
            rf"{ONESHOT}EnvironmentFile=-/etc/default/site\nExecStart=/bin/sh $SCRIPT\n{WANTED}",
        ),
        SWAPS,
        (MAKES_SWAP, "/etc/default/site", SITE, f"{LINKS}/site.service"),
    ),
    chained(
        "a tunnel of WireGuard switches forwarding off as it comes up",
        r"mkdir -p /etc/wireguard; printf '[Interface]\nPrivateKey = x\nPostUp = sysctl -qw "
        r"net.ipv4.ip_forward=0\n' >/etc/wireguard/wg0.conf; install -m 755 /bin/true "
        r"/usr/bin/wg-quick; printf '[Service]\nType=oneshot\nRemainAfterExit=yes\n"
        rf"ExecStart=/usr/bin/wg-quick up %%i\n{WANTED}' >{TUNNEL[2]};"
        " systemctl --quiet enable wg-quick@wg0",
        {"SYS-IP-FORWARD persisted": fail("but /etc/wireguard/wg0.conf:3 sets it after")},
        TUNNEL,
    ),
    chained(
        "tmpfiles.d switches forwarding off",
        "echo 'w /proc/sys/net/ipv4/ip_forward - - - - 0' >/etc/tmpfiles.d/site.conf",
        {"SYS-IP-FORWARD persisted": fail("but /etc/tmpfiles.d/site.conf:1 sets it after")},
        ("/etc/tmpfiles.d/site.conf",),
    ),
    chained(
        "a program of Python that a unit runs turns swap on",
        r"mkdir -p /opt/site; printf 'import subprocess\nsubprocess.run("
        r"""["/sbin/swapon", "/nofile"])\n' >/opt/site/prepare.py; """
        + unit(
            "site.service", rf"{ONESHOT}ExecStart=/usr/bin/python3 /opt/site/prepare.py\n{WANTED}"
        ),
        {"SWAP-OFF persisted": unknown("/opt/site/prepare.py:2 runs `/sbin/swapon /nofile`")},
        ("/opt/site", SITE, f"{LINKS}/site.service"),
    ),
    # --- time ---
    HostFault(
        "time program that graphical.target alone wants, after a boot",
        HOST,
        "systemctl --quiet set-default multi-user.target;"
        f" mkdir -p {GRAPHICAL.rpartition('/')[0]}; mv {MULTI_USER} {GRAPHICAL}",
        {
            "TIME-SYNC persisted": fail("graphical.target alone would start it"),
            "TIME-SYNC runtime": fail("no program synchronizes the clock"),
        },
        (MULTI_USER, GRAPHICAL.rpartition("/")[0], f"{SYSTEM}/default.target"),
        reboot=True,
    ),
    chained(
        "a unit of the site conflicts with the time program",
        unit(
            "site.service",
            rf"[Unit]\nConflicts=chrony.service\n{ONESHOT}ExecStart=/bin/true\n{WANTED}",
        ),
        {"TIME-SYNC persisted": unknown(f"{SITE}:2 has Conflicts=chrony.service")},
        (SITE, f"{LINKS}/site.service"),
    ),
    chained(
        "time program that measures once and ends",
        rf"mkdir -p {CHRONY}; printf '[Service]\nExecStart=\nExecStart=/usr/sbin/chronyd -Q\n'"
        f" >{CHRONY}/site.conf",
        {"TIME-SYNC persisted": fail(f"{NOT_SYNCED}: {CHRONY}/site.conf:3 has chrony.service run")},
        (CHRONY,),
    ),
    HostFault(
        "time program whose only source is the host itself",
        HOST,
        "echo 'server 127.0.0.1 iburst' >/etc/chrony/chrony.conf; systemctl restart chrony",
        {
            "TIME-SYNC persisted": fail("and its configuration names no source"),
            "TIME-SYNC runtime": fail("not synchronised"),
        },
        ("/etc/chrony/chrony.conf",),
        undo="systemctl restart chrony",
    ),
    chained(
        "rc.local stops the time program by its script of init.d",
        rc_local("/etc/init.d/chrony stop"),
        {"TIME-SYNC persisted": unknown(f"{RC}:2 may stop chrony.service after a boot")},
        (RC,),
    ),
    chained(
        "rc.local kills the time program",
        rc_local("kill $(cat /run/chrony/chronyd.pid)"),
        {"TIME-SYNC persisted": unknown(f"{RC}:2 may stop chrony.service after a boot")},
        (RC,),
    ),
    # --- logins ---
    HostFault(
        "PAM's stack may end before the limits",
        HOST,
        r"sed -i '0,/^session/s//session sufficient pam_permit.so\nsession/' /etc/pam.d/sshd",
        {
            f"LIM-{item} {aspect}": unknown("may leave pam_limits.so out of a login")
            for item in ITEMS
            for aspect in ("persisted", "runtime")
        },
        ("/etc/pam.d/sshd",),
    ),
    # --- what looks like a fault and is none ---
    chained(
        "rc.local with swapon whose unit is masked",
        rc_local("swapon /nofile", "sysctl -w net.ipv4.ip_forward=0")
        + "systemctl --quiet mask rc-local.service",
        {},
        (RC, f"{SYSTEM}/rc-local.service"),
    ),
    chained(
        "commands of a unit that a drop-in takes out",
        unit(
            "site.service",
            rf"{NAMES_HOST}ExecStart=/sbin/sysctl -w net.ipv4.ip_forward=0\n"
            rf"ExecStart=/sbin/swapon /nofile\n{WANTED}",
        )
        + rf"mkdir -p {SITE}.d; printf '[Service]\nExecStart=\nExecStart=/bin/true\n'"
        f" >{SITE}.d/off.conf",
        {},
        (SITE, f"{SITE}.d", f"{LINKS}/site.service"),
    ),
    chained(
        "a unit of suspend.target with swapon",
        SCRIPT
        + unit(
            "site.service",
            rf"{ONESHOT}ExecStart={MAKES_SWAP}\n"
            r"ExecStart=/sbin/sysctl -w net.ipv4.ip_forward=0\n"
            r"[Install]\nWantedBy=suspend.target\n",
        ),
        {},
        (MAKES_SWAP, SITE, f"{SYSTEM}/suspend.target.wants"),
    ),
)

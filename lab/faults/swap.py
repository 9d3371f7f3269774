"""Faults of chapter 8: what turns swap on at boot. That it is on now needs a kernel of its own."""

from lab.faults.fault import HostFault, fail, unknown

HOST = "k8s-master-02"
UUID = "3f5ad593-4546-4a94-a374-bcfb68aa11f7"
UNIT = "/etc/systemd/system/dev-sdb2.swap"
SITE = "/etc/systemd/system/site.service"
SITE_FILES = (SITE, "/etc/systemd/system/multi-user.target.wants/site.service")
WANTED = "[Install]\\nWantedBy=multi-user.target\\n"
GENERATOR = "/usr/lib/systemd/system-generators/zram-generator"


def swap(
    name: str, inject: str, reason: str = "", files: tuple[str, ...] = ("/etc/fstab",)
) -> HostFault:
    """A fault that turns swap on at boot; one that does not where `says` is empty."""
    turns = {"SWAP-OFF persisted": fail(reason)} if reason else {}
    return HostFault(name, HOST, inject, turns, files)


FAULTS = (
    swap(
        "fstab swap line with tabs",
        r"printf '/dev/sdb1\tnone\tswap\tsw\t0\t0\n' >>/etc/fstab",
        "lists /dev/sdb1 as swap",
    ),
    swap(
        "fstab swap line by UUID",
        f"echo 'UUID={UUID} none swap defaults 0 0' >>/etc/fstab",
        f"lists /dev/disk/by-uuid/{UUID} as swap",
    ),
    swap(
        "fstab swap line by label, in quotes, with few fields",
        """echo ' LABEL="old swap" swap swap' | sed 's/old swap/old/' >>/etc/fstab""",
        "lists /dev/disk/by-label/old as swap",
    ),
    swap(
        "fstab swap file",
        "echo '/swapfile swap swap defaults,nofail,pri=5 0 0' >>/etc/fstab",
        "lists /swapfile as swap",
    ),
    swap(
        "fstab swap line, and a kubelet that runs beside swap",
        "echo '/swapfile none swap sw 0 0' >>/etc/fstab;"
        " echo 'KUBELET_EXTRA_ARGS=--fail-swap-on=false' >/etc/default/kubelet",
        "the kubelet runs beside it on purpose (/etc/default/kubelet:1",
        ("/etc/fstab", "/etc/default/kubelet"),
    ),
    swap(
        "a .swap unit that a target wants",
        f"printf '[Swap]\\nWhat=/dev/sdb2\\n[Install]\\nWantedBy=swap.target\\n' >{UNIT};"
        " systemctl --quiet enable dev-sdb2.swap",
        "is pulled in by swap.target",
        (UNIT, "/etc/systemd/system/swap.target.wants"),
    ),
    swap(
        "a .swap unit that a target's drop-in wants",
        f"printf '[Swap]\\nWhat=/dev/sdb2\\n' >{UNIT};"
        " mkdir -p /etc/systemd/system/multi-user.target.d;"
        " printf '[Unit]\\nWants=dev-sdb2.swap\\n'"
        " >/etc/systemd/system/multi-user.target.d/swap.conf",
        "is pulled in by multi-user.target",
        (UNIT, "/etc/systemd/system/multi-user.target.d"),
    ),
    swap(
        "a zram generator and its file",
        f"install -m 755 /bin/true {GENERATOR};"
        " printf '[zram0]\\nzram-size = ram / 2\\n' >/etc/systemd/zram-generator.conf",
        "makes zram0 a swap",
        (GENERATOR, "/etc/systemd/zram-generator.conf"),
    ),
    swap(
        "a zram generator with its vendor's file alone",
        f"install -m 755 /bin/true {GENERATOR}; mkdir -p /usr/lib/systemd/zram-generator.conf.d;"
        " printf '[zram0]\\n' >/usr/lib/systemd/zram-generator.conf.d/10-default.conf",
        "makes zram0 a swap",
        (GENERATOR, "/usr/lib/systemd/zram-generator.conf.d"),
    ),
    swap(
        "a service that makes a swap of zram",
        "printf '[Service]\\nExecStart=/bin/true\\n[Install]\\nWantedBy=multi-user.target\\n'"
        " >/lib/systemd/system/zramswap.service; systemctl --quiet enable zramswap",
        "enables zramswap.service (zram-tools)",
        (
            "/usr/lib/systemd/system/zramswap.service",
            "/etc/systemd/system/multi-user.target.wants/zramswap.service",
        ),
    ),
    swap(
        "Azure's agent makes a swap file",
        "printf 'ResourceDisk.Format=y\\nResourceDisk.EnableSwap=y\\n' >/etc/waagent.conf;"
        " printf '[Service]\\nExecStart=/bin/sleep infinity\\n[Install]\\n"
        "WantedBy=multi-user.target\\n' >/etc/systemd/system/walinuxagent.service;"
        " systemctl --quiet enable walinuxagent",
        "/etc/waagent.conf:2 has walinuxagent.service make a swap file",
        (
            "/etc/waagent.conf",
            "/etc/systemd/system/walinuxagent.service",
            "/etc/systemd/system/multi-user.target.wants/walinuxagent.service",
        ),
    ),
    swap(
        "a unit of the site's own runs swapon",
        f"printf '[Service]\\nExecStart=/bin/sh -c \"swapon /swapfile\"\\n{WANTED}' >{SITE};"
        " systemctl --quiet enable site",
        f"{SITE}:2 runs `swapon /swapfile` at boot",
        SITE_FILES,
    ),
    HostFault(
        "a unit's script runs swapon",
        HOST,
        "printf '#!/bin/sh\\n[ -e /swapfile ] && swapon /swapfile\\n' >/usr/local/sbin/prepare;"
        f" printf '[Service]\\nExecStart=/usr/local/sbin/prepare\\n{WANTED}' >{SITE};"
        " chmod 755 /usr/local/sbin/prepare; systemctl --quiet enable site",
        {
            "SWAP-OFF persisted": unknown(
                "/usr/local/sbin/prepare:2 runs `swapon /swapfile` at boot"
            )
        },
        (*SITE_FILES, "/usr/local/sbin/prepare"),
    ),
    swap(
        "a unit that nothing enables runs swapon",
        f"printf '[Service]\\nExecStart=/sbin/swapon /swapfile\\n{WANTED}' >{SITE}",
        files=SITE_FILES[:1],
    ),
    HostFault(
        "fstab is a link into /run",
        HOST,
        "cp -p /etc/fstab /run/fstab; ln -sf /run/fstab /etc/fstab",
        {"SWAP-OFF persisted": unknown("/etc/fstab leads to /run/fstab")},
        ("/etc/fstab", "/run/fstab"),
    ),
    swap(
        "a data mount called /swapdata",
        "mkdir -p /swapdata; echo 'tmpfs /swapdata tmpfs rw,noauto 0 0' >>/etc/fstab;"
        r" printf '%s\n' '/dev/sdc1 /data\040swap ext4 defaults,noauto 0 2' >>/etc/fstab",
        files=("/etc/fstab", "/swapdata"),
    ),
    swap(
        "a swap line that is commented out, and one that is noauto",
        "printf ' # /dev/sdb1 none swap sw 0 0\\n/dev/sdb2 none swap sw,noauto 0 0\\n'"
        " >>/etc/fstab",
    ),
    swap(
        "a .swap unit that nothing wants, and a masked one",
        f"printf '[Swap]\\nWhat=/dev/sdb2\\n' >{UNIT};"
        " echo '/dev/sdb3 none swap sw 0 0' >>/etc/fstab;"
        " ln -s /dev/null /etc/systemd/system/dev-sdb3.swap",
        files=(UNIT, "/etc/systemd/system/dev-sdb3.swap", "/etc/fstab"),
    ),
    swap(
        "a zram generator's file without the generator",
        "printf '[zram0]\\n' >/etc/systemd/zram-generator.conf",
        files=("/etc/systemd/zram-generator.conf",),
    ),
)

"""Faults of the limits of services, beyond the guide: containerd and the kubelet.

The lab's hosts have neither, so each fault brings a stand-in along that systemd runs as it would
run the real one. It starts in multi-user.target, so that a power cut brings it back.
"""

from collections.abc import Mapping, Sequence

from lab.faults.fault import ExpectedResult, HostFault, fail, unknown

HOST = "k8s-node-01"
VENDOR = "/usr/lib/systemd/system"
OWN = "/etc/systemd/system"
CONTAINERD, KUBELET = UNITS = "containerd.service", "kubelet.service"
LOW = r"LimitNOFILE=1024:4096\nLimitNPROC=1000\nLimitMEMLOCK=64K\n"
HIGH = r"LimitNOFILE=infinity\nLimitNPROC=infinity\nLimitMEMLOCK=infinity\n"
DEFAULTS = r"DefaultLimitNOFILE=1024:4096\nDefaultLimitNPROC=1000\nDefaultLimitMEMLOCK=64K\n"
LOW_LIMITS = {
    "NOFILE": "nofile soft 1024, hard 4096",
    "NPROC": "nproc soft 1000, hard 1000",
    "MEMLOCK": "memlock soft 64 KiB, hard 64 KiB",
}
SECTION, MANAGERS = r"[Service]\n", r"[Manager]\n"
RELOAD = "systemctl daemon-reload"


def path(unit: str) -> str:
    """Where a package has this unit."""
    return f"{VENDOR}/{unit}"


def link(unit: str) -> str:
    """The link by which it starts at boot."""
    return f"{OWN}/multi-user.target.wants/{unit}"


def installed(unit: str, limits: str) -> str:
    """Commands that put the stand-in's unit where a package has it, and enable it."""
    text = (
        rf"{SECTION}ExecStart=/bin/sleep infinity\n{limits}"
        r"[Install]\nWantedBy=multi-user.target\n"
    )
    return f"printf '{text}' >{path(unit)}; systemctl --quiet enable {unit}"


def started(unit: str) -> str:
    """Commands that start it as its files are."""
    return f"{RELOAD}; systemctl start {unit}"


def written(name: str, text: str) -> str:
    """A command that writes this file (as printf does) and its folder."""
    return f"mkdir -p {name.rpartition('/')[0]}; printf '{text}' >{name}"


def runs(service: str) -> dict[str, ExpectedResult]:
    """The running process has the low limits."""
    return {
        f"SVC-{service}-{item} runtime": fail(f"runs with {limits}")
        for item, limits in LOW_LIMITS.items()
    }


def starts(service: str, name: str, first: int) -> dict[str, ExpectedResult]:
    """A start gives the low limits by three lines of this file."""
    return {
        f"SVC-{service}-{item} persisted": fail(f"starts with {limits} by {name}:{line}")
        for line, (item, limits) in enumerate(LOW_LIMITS.items(), first)
    }


def service(
    name: str,
    unit: str,
    inject: str,
    turns: Mapping[str, ExpectedResult],
    files: Sequence[str] = (),
    reboot: bool = False,
) -> HostFault:
    """A fault of a service; afterwards it is gone."""
    if unit == KUBELET:
        flags = unknown("start another command than kubelet: its flags are not known")
        turns = {
            **turns,
            "CMP-KUBELET persisted": fail(f"has {unit} run /bin/sleep instead of kubelet"),
            # The flags may name the kubelet's folder, and a container runtime.
            "DISK-KUBELET runtime": flags,
            "DISK-CONTAINERD runtime": flags,
        }
    return HostFault(
        name,
        HOST,
        inject,
        turns,
        (path(unit), link(unit), *files),
        f"systemctl stop {unit} || true; systemctl daemon-reload; systemctl reset-failed",
        reboot,
    )


LATE = f"{OWN}/{CONTAINERD}.d/zz-site.conf"
EVERY = f"{OWN}/service.d/50-site.conf"
MANAGER = "/etc/systemd/system.conf.d/50-site.conf"
VOLATILE = f"/run/systemd/system/{KUBELET}.d/50-site.conf"

FAULTS = (
    service(
        "containerd has low limits in its own unit",
        CONTAINERD,
        f"{installed(CONTAINERD, LOW)}; {started(CONTAINERD)}",
        {**runs("CONTAINERD"), **starts("CONTAINERD", path(CONTAINERD), 3)},
    ),
    service(
        "kubelet has low limits in its own unit",
        KUBELET,
        f"{installed(KUBELET, LOW)}; {started(KUBELET)}",
        {**runs("KUBELET"), **starts("KUBELET", path(KUBELET), 3)},
    ),
    service(
        "containerd's limits lowered by a drop-in",
        CONTAINERD,
        f"{installed(CONTAINERD, HIGH)}; {written(LATE, SECTION + LOW)}; {started(CONTAINERD)}",
        {**runs("CONTAINERD"), **starts("CONTAINERD", LATE, 2)},
        (f"{OWN}/{CONTAINERD}.d",),
    ),
    service(
        "kubelet's limits lowered by a drop-in for all services",
        KUBELET,
        f"{installed(KUBELET, HIGH)}; {written(EVERY, SECTION + LOW)}; {started(KUBELET)}",
        {**runs("KUBELET"), **starts("KUBELET", EVERY, 2)},
        (f"{OWN}/service.d",),
    ),
    service(
        "kubelet's limits left to systemd's defaults, which are low",
        KUBELET,
        f"{installed(KUBELET, '')}; {written(MANAGER, MANAGERS + DEFAULTS)}; {started(KUBELET)}",
        {**runs("KUBELET"), **starts("KUBELET", MANAGER, 2)},
        ("/etc/systemd/system.conf.d",),
    ),
    service(
        "kubelet's limits raised until the next boot only",
        KUBELET,
        f"{installed(KUBELET, LOW)}; {written(VOLATILE, SECTION + HIGH)}; {started(KUBELET)}",
        {**runs("KUBELET"), **starts("KUBELET", path(KUBELET), 3)},
        reboot=True,
    ),
    service(
        "containerd's limits raised, and it was not restarted",
        CONTAINERD,
        f"{installed(CONTAINERD, LOW)}; {started(CONTAINERD)}; "
        f"{written(LATE, SECTION + HIGH)}; {RELOAD}",
        {
            **runs("CONTAINERD"),
            **{
                f"SVC-CONTAINERD-{item} persisted": ExpectedResult("PASS", LATE)
                for item in LOW_LIMITS
            },
        },
        (f"{OWN}/{CONTAINERD}.d",),
    ),
    service(
        "containerd has low limits and does not run",
        CONTAINERD,
        f"{installed(CONTAINERD, LOW)}; {RELOAD}",
        starts("CONTAINERD", path(CONTAINERD), 3),
    ),
    service(
        "containerd's unit cannot be loaded",
        CONTAINERD,
        rf"printf '[Service]\n{HIGH}' >{path(CONTAINERD)}; {RELOAD}",
        {
            f"SVC-CONTAINERD-{item} {aspect}": unknown("LoadState=bad-setting")
            for item in LOW_LIMITS
            for aspect in ("runtime", "persisted")
        },
    ),
    service(
        "drop-in of a containerd that is not installed",
        CONTAINERD,
        f"{written(LATE, SECTION + LOW)}; {RELOAD}",
        {},
        (f"{OWN}/{CONTAINERD}.d",),
    ),
)

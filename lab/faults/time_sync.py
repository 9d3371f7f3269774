"""Faults of time synchronization: chronyd, and its source in the operator's namespace.

The lab's chronyd only measures (lab/image.py), so no fault can set the machine's clock.
"""

from lab.faults.fault import HostFault, fail, unknown

HOST = "k8s-node-01"
UNIT = "chrony.service"
CONF = "/etc/chrony/chrony.conf"
SOURCES = "/etc/chrony/sources.d"
SECOND = "/usr/lib/systemd/system/systemd-timesyncd.service"
OWN = "/etc/systemd/system"
# Its start waits until it has a source, or for 5 s.
RESTART = f"systemctl restart {UNIT}"
DROP = """
nft add table inet fault
nft add chain inet fault out '{ type filter hook output priority 0 ; }'
nft add rule inet fault out udp dport 123 drop
"""
# Only a stand-in: Debian's packages refuse to be installed beside chrony.
SECOND_UNIT = r"[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=sysinit.target\n"

STOPPED = fail(f"no program synchronizes the clock: {UNIT} is inactive")
DISABLED = fail(f"a boot starts no program that synchronizes the clock: {UNIT} is disabled")
MASKED = fail(f"{UNIT} is masked ({OWN}/{UNIT})")
NO_SOURCE = fail(f"{UNIT} starts at boot, and its configuration names no source")


def configured(text: str) -> str:
    """A command that gives chronyd this configuration, as printf writes it."""
    return f"printf '{text}' >{CONF}"


FAULTS = (
    HostFault(
        "time program stopped",
        HOST,
        f"systemctl stop {UNIT}",
        {"TIME-SYNC runtime": STOPPED},
        undo=f"systemctl start {UNIT}",
    ),
    HostFault(
        "time program disabled",
        HOST,
        f"systemctl --quiet disable {UNIT}",
        {"TIME-SYNC persisted": DISABLED},
        undo=f"systemctl --quiet enable {UNIT}",
    ),
    HostFault(
        "time program disabled, after a boot",
        HOST,
        f"systemctl --quiet disable {UNIT}",
        {"TIME-SYNC runtime": STOPPED, "TIME-SYNC persisted": DISABLED},
        undo=f"systemctl --quiet enable {UNIT}",
        reboot=True,
    ),
    HostFault(
        "time program masked",
        HOST,
        f"systemctl --quiet mask --now {UNIT}",
        {
            "TIME-SYNC runtime": fail(f"{UNIT} is inactive (masked)"),
            "TIME-SYNC persisted": MASKED,
        },
        undo=f"systemctl --quiet unmask {UNIT}; systemctl start {UNIT}",
    ),
    HostFault(
        "time program masked until the next boot",
        HOST,
        f"systemctl --quiet mask --runtime --now {UNIT}",
        {"TIME-SYNC runtime": fail(f"{UNIT} is inactive (masked)")},
        undo=f"systemctl --quiet unmask --runtime {UNIT}; systemctl start {UNIT}",
    ),
    HostFault(
        "time program fails",
        HOST,
        f"echo 'no such directive' >{CONF}; ! {RESTART}",
        {
            "TIME-SYNC runtime": fail(f"no program synchronizes the clock: {UNIT} is failed"),
            "TIME-SYNC persisted": NO_SOURCE,
        },
        (CONF,),
        undo=f"systemctl reset-failed; {RESTART}",
    ),
    HostFault(
        "time program has no source",
        HOST,
        f"{configured('makestep 1 3')}; {RESTART}",
        {
            "TIME-SYNC runtime": fail("the clock is not synchronized: chronyd has no source"),
            "TIME-SYNC persisted": NO_SOURCE,
        },
        (CONF,),
        undo=RESTART,
    ),
    HostFault(
        "time program has no source from its next start on",
        HOST,
        configured("makestep 1 3"),
        {"TIME-SYNC persisted": NO_SOURCE},
        (CONF,),
    ),
    HostFault(
        "time program serves the host's own clock",
        HOST,
        f"{configured('local stratum 8')}; {RESTART}",
        {
            "TIME-SYNC runtime": fail("the clock is not synchronized: chronyd has no source"),
            "TIME-SYNC persisted": NO_SOURCE,
        },
        (CONF,),
        undo=RESTART,
    ),
    HostFault(
        "time source is never selected",
        HOST,
        f"{configured('server 10.208.1.1 iburst minpoll -2 maxpoll 0 noselect')}; {RESTART}",
        {
            "TIME-SYNC runtime": fail("chronyc says not synchronised (10.208.1.1 is not usable)"),
            "TIME-SYNC persisted": NO_SOURCE,
        },
        (CONF,),
        undo=RESTART,
    ),
    HostFault(
        "time source is not there",
        HOST,
        f"sed -i s/10.208.1.1/10.208.1.77/ {CONF}; {RESTART}",
        {
            "TIME-SYNC runtime": fail(
                "chronyc says not synchronised (10.208.1.77 does not answer)"
            ),
        },
        (CONF,),
        undo=RESTART,
    ),
    HostFault(
        "time source stopped answering",
        HOST,
        f"{DROP} sleep 10",
        {
            "TIME-SYNC runtime": fail(
                "chronyd has selected no source (10.208.1.1 does not answer)"
            ),
        },
        undo=f"nft delete table inet fault; {RESTART}",
    ),
    HostFault(
        "clock an hour off",
        HOST,
        f"sed -i '/^server/s/$/ offset 3600/' {CONF}; {RESTART}",
        {"TIME-SYNC runtime": fail("from which it is 3600.0 s off")},
        (CONF,),
        undo=RESTART,
    ),
    HostFault(
        "two time programs",
        HOST,
        f"printf '{SECOND_UNIT}' >{SECOND}; systemctl daemon-reload;"
        " systemctl --quiet enable --now systemd-timesyncd",
        {
            "TIME-SYNC runtime": fail(
                f"more than one program sets the clock: {UNIT}, systemd-timesyncd.service"
            ),
            "TIME-SYNC persisted": fail(
                f"a boot starts more than one program: {UNIT}, systemd-timesyncd.service"
            ),
        },
        (SECOND, f"{OWN}/sysinit.target.wants/systemd-timesyncd.service"),
        undo="systemctl stop systemd-timesyncd || true; systemctl daemon-reload",
    ),
    HostFault(
        "time program does not answer",
        HOST,
        "pkill -STOP -x chronyd",
        {"TIME-SYNC runtime": unknown("chrony does not report its state (124)")},
        undo="pkill -CONT -x chronyd; sleep 1",
    ),
    HostFault(
        "time source of another file",
        HOST,
        f"mkdir -p {SOURCES}; grep ^server {CONF} >{SOURCES}/site.sources;"
        f" echo 'sourcedir {SOURCES}' >{CONF}; {RESTART}",
        files=(CONF, f"{SOURCES}/site.sources"),
        undo=RESTART,
    ),
)

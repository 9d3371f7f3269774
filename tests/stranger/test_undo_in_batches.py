"""On a cluster that Hale did not build: the undo of a change of all workers goes from one to the
next, each drained before its kubelet restarts, and healthy before the next one is cordoned."""

import time
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import msgspec
import pytest

from hale.apply.journal import (
    NAME,
    Entry,
    HostFinished,
    NodeCordoned,
    NodeUncordoned,
    StepDone,
    StepStarted,
)
from hale.polling import wait_until
from lab import stranger as built
from tests.cluster.test_batches import cordoned
from tests.stranger.stranger_fixture import Stranger

WORKERS = ("k8s-node-01", "k8s-node-02")
FIRST, SECOND = WORKERS
FIX = (
    "--only=SVC-KUBELET-NOFILE", f"--hosts={FIRST},{SECOND}", "--profile=extended", "--apply",
    "--yes",
)  # fmt: skip
PATIENCE = 600.0  # seconds
# Seconds in which the second worker stays as it is while the first one is unhealthy: without a
# gate it is cordoned within three.
QUIET = 20.0
_DROPINS = "/etc/systemd/system/kubelet.service.d"
# A limit that is too low on both; and on the first one a kubelet that waits for a file to be
# removed, while systemd counts it as started.
_LOW = rf"""
mkdir -p {_DROPINS}
printf '[Service]\nLimitNOFILE=4096\n' >{_DROPINS}/zz-site.conf
systemctl daemon-reload && systemctl restart kubelet
"""
_SLOW = rf"""
mkdir -p {_DROPINS}
cat >{_DROPINS}/zz-slow.conf <<'END'
[Service]
ExecStart=
ExecStart=/bin/sh -c 'while [ -e /run/kubelet-waits ]; do sleep 0.2; done; exec /usr/bin/kubelet \
$$KUBELET_KUBECONFIG_ARGS $$KUBELET_CONFIG_ARGS $$KUBELET_KUBEADM_ARGS $$KUBELET_EXTRA_ARGS'
END
"""
_RESTORE = rf"""
rm -f /run/kubelet-waits {_DROPINS}/zz-site.conf {_DROPINS}/zz-slow.conf {_DROPINS}/k8s-limits.conf
systemctl daemon-reload && systemctl restart kubelet
"""
_WAITS = "grep -qx sh /proc/$(systemctl show --property=MainPID --value kubelet)/comm"
_LIMIT = (
    "awk '/open files/ { print $4 }' "
    "/proc/$(systemctl show --property=MainPID --value kubelet)/limits"
)


@pytest.fixture
def limited(stranger: Stranger) -> Iterator[Stranger]:
    """Both kubelets have too low a limit, and the shop may be evicted for once."""
    stranger.spoiled = True
    stranger.kubectl("-n shop delete poddisruptionbudget shop --ignore-not-found")
    try:
        stranger.lab[FIRST].run(_SLOW)
        for name in WORKERS:
            stranger.lab[name].run(_LOW)
        built.settle(stranger.lab)
        yield stranger
    finally:
        for name in WORKERS:
            stranger.lab[name].run(_RESTORE)
        # An undo that a failure has ended leaves its cordon.
        stranger.kubectl(f"uncordon {FIRST} {SECOND}")
        stranger.kubectl("apply -f /root/site.yaml")
        built.settle(stranger.lab)
    stranger.spoiled = False


def _entries(folder: Path) -> list[tuple[type, str]]:
    """What the run's journal has of hosts so far, each kind of entry with its host."""
    kinds = NodeCordoned | StepStarted | StepDone | NodeUncordoned | HostFinished
    decoder = msgspec.json.Decoder(Entry)
    # The last line may be half written.
    lines = (folder / NAME).read_bytes().split(b"\n")[:-1]
    return [(type(e), e.host) for e in map(decoder.decode, lines) if isinstance(e, kinds)]


def _require_one_by_one(folder: Path) -> None:
    """The first worker from its cordon to its end, and then the second one. AssertionError."""
    entries = _entries(folder)
    assert [host for host, _ in groupby(entries, lambda e: e[1])] == [FIRST, SECOND], entries
    for name in WORKERS:
        kinds = [kind for kind, host in entries if host == name]
        assert kinds[0] is NodeCordoned, entries
        assert kinds[-2:] == [NodeUncordoned, HostFinished], entries
        assert StepDone in kinds, entries


@pytest.mark.soak("two minutes")
def test_undo_goes_from_worker_to_worker(limited: Stranger) -> None:
    done = limited.invoke("fix", *FIX)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    fixed = limited.histories()[-1]
    _require_one_by_one(fixed.folder)
    for name in WORKERS:
        assert int(limited.lab[name].run(_LIMIT).stdout) > 4096

    first = limited.lab[FIRST]
    first.run(": >/run/kubelet-waits")
    running = limited.start("undo", fixed.header.run, "--yes")
    try:

        def begins() -> bool:
            assert running.child.poll() is None, running.account()
            return first.run(_WAITS, check=False).returncode != 0

        assert not wait_until(begins, PATIENCE, 0.5), running.account()
        folder = max(limited.reports.glob(f"*-undo/{NAME}")).parent
        end = time.monotonic() + QUIET
        while time.monotonic() < end:
            assert {host for _, host in _entries(folder)} == {FIRST}, running.out.read_text()
            assert cordoned(limited) == [FIRST]
            time.sleep(1.0)
        first.run("rm /run/kubelet-waits")
        running.child.wait(PATIENCE)
    finally:
        running.kill()
    done = running.completed()
    output = done.stdout[-3000:] + done.stderr[-2000:]
    assert done.returncode == 0, output
    _require_one_by_one(folder)
    assert cordoned(limited) == []
    for name in WORKERS:
        assert limited.lab[name].run(_LIMIT).stdout.split() == [b"4096"], output

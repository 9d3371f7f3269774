"""`invoke fix` on a cluster that lives: masters alone, the VIP's owner last, and nobody waits."""

import shlex
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from hale.apply.journal import NAME, Entry, HostFinished, RunHistory, StepDone, StepStarted
from hale.audit.results_file import load_results
from hale.model.results import Result
from hale.model.verdict import Verdict
from lab.machine import LabHost
from tests.cluster.cluster_fixture import Built
from tests.cluster.faults.fault import gone

WORKER = "k8s-node-01"
MASTERS = ("k8s-master-01", "k8s-master-02", "k8s-master-03")
TOUCHED = (WORKER, *MASTERS)
FIX = (
    "--only=SYS-IP-FORWARD,SVC-KUBELET-NOFILE", f"--hosts={','.join(TOUCHED)}",
    "--profile=extended", "--apply", "--yes",
)  # fmt: skip

# A setting that the next boot would make, and a limit that the kubelet has now and then.
SYSCTL = "/etc/sysctl.d/zz-site.conf"
DROPIN = "/etc/systemd/system/kubelet.service.d/zz-site.conf"
_BREAK = f"""
mkdir -p {Path(DROPIN).parent}
echo net.ipv4.ip_forward=0 >{SYSCTL}
printf '[Service]\\nLimitNOFILE=4096\\n' >{DROPIN}
systemctl daemon-reload && systemctl restart kubelet
"""
_MEND = f"rm -f {SYSCTL} {DROPIN}; systemctl daemon-reload; systemctl restart kubelet"
_STATE = f"""
stat -c '%n %a %u:%g' {SYSCTL} {DROPIN}
find /etc/sysctl.d /etc/systemd/system/kubelet.service.d -type f | sort | xargs sha256sum
grep -F 'open files' /proc/$(systemctl show --property=MainPID --value kubelet)/limits
"""
# Asks the VIP up to twenty times a second, a new connection each, until its file of answers is
# gone. A late answer is one: with all of this at work on two cores one may take seconds, and etcd's
# own is no part of it.
_ASK = """
date +%s >/run/asked-since
: >/run/asked; while [ -e /run/asked ]; do
  : >/run/asked-body
  got=$(curl -sk -o /run/asked-body -w '%{http_code} %{exitcode} %{time_total}' -m 20 \\
    'https://10.208.1.190:16443/readyz?exclude=etcd&exclude=etcd-readiness')
  [ "${got%% *}" = 200 ] || got="$got $(grep -F '[-]' /run/asked-body | tr '\\n' ' ')"
  [ ! -e /run/asked ] || echo "$got" >>/run/asked
  sleep 0.05
done
"""

# What serves requests, each with its begin: one that is restarted has another.
_SERVES = """
systemctl show -p MainPID -p ActiveEnterTimestampMonotonic haproxy keepalived
for name in kube-apiserver etcd; do
  for pid in $(pgrep -x $name); do echo "$name $pid $(cut -d' ' -f22 /proc/$pid/stat)"; done
done
"""
# Each time that this master's load balancer took an apiserver out which was too busy for its check:
# it then cuts that server's connections, so that their clients get another one (haproxy.cfg).
_STALLS = """
journalctl --no-pager -o cat -u haproxy --since @SINCE | grep -v WARNING |
  grep -F 'Server apiservers/' |
  grep -E 'DOWN, reason: (Layer[467] timeout|Layer7 wrong status, code: 500)' || true
"""
CUT = ("000 35 ", "000 52 ", "000 55 ", "000 56 ")  # curl(1): the connection was closed

# Until the kubelet has run for a while: a manifest that is taken away while it begins (0.2 s after
# it had read it) is still run for minutes.
_CALM = """
for i in $(seq 400); do
  begun=$(systemctl show --property=ActiveEnterTimestampMonotonic --value kubelet)
  read -r up _ </proc/uptime
  [ $((${up%.*} - begun / 1000000)) -lt 15 ] || exit 0
  sleep 0.5
done
exit 1
"""

# Until etcd answers again, and the apiserver that asks it: the kubelet restarts one that has ended
# often only every five minutes.
_WAIT = """
for i in $(seq 1000); do
  curl -sf -m 20 http://127.0.0.1:2381/readyz &&
    curl -skf -m 20 https://127.0.0.1:6443/readyz && exit 0
  sleep 0.5
done
exit 1
"""


@pytest.fixture
def broken(cluster: Built) -> Iterator[Built]:
    """Three masters and a worker with the same two faults; the cluster is whole all the same."""
    try:
        for name in TOUCHED:
            cluster.lab[name].run(_BREAK)
        # Each kubelet that was restarted has reported again: a fix refuses an unhealthy cluster.
        cluster.settle()
        yield cluster
    finally:
        for name in TOUCHED:
            cluster.lab[name].run(_MEND)


@pytest.fixture
def away(cluster: Built) -> Iterator[None]:
    """One member of etcd is stopped, and back before `broken` restarts that kubelet: one that has
    begun without it waits for its own apiserver, two minutes, before it runs etcd."""
    host = cluster.lab["k8s-master-03"]
    host.run(_CALM, timeout=300)
    host.run("mv /etc/kubernetes/manifests/etcd.yaml /etc/kubernetes/etcd.yaml.aside")
    try:
        # The kubelet may look at its manifests only every twenty seconds.
        host.run(gone("etcd"), timeout=300)
        yield
    finally:
        host.run("mv /etc/kubernetes/etcd.yaml.aside /etc/kubernetes/manifests/etcd.yaml")
        host.run(_WAIT, timeout=900)


@pytest.fixture
def client(cluster: Built) -> Iterator[LabHost]:
    """A host beside them whose client asks the VIP all the time."""
    host = cluster.lab["k8s-node-02"]
    host.run(f"exec setsid sh -c {shlex.quote(_ASK)} >/dev/null 2>&1 </dev/null &")
    try:
        yield host
    finally:
        host.run("rm -f /run/asked")


def serving(cluster: Built) -> dict[str, str]:
    return {name: cluster.lab[name].run(_SERVES).stdout.decode() for name in MASTERS}


def check_answers(cluster: Built, client: LabHost, owner: str) -> None:
    """Every request was answered, but for those that the load balancer cut off an apiserver which
    did not answer its check in time: the machine is too busy, and one check cuts one of them.
    """
    answers = client.run("cat /run/asked").stdout.decode().splitlines()
    assert len(answers) > 100
    # Each with HTTP's status, curl's, its seconds, and the checks of /readyz that failed.
    lost = [f"{n}: {line}" for n, line in enumerate(answers) if not line.startswith("200 ")]
    since = client.run("cat /run/asked-since").stdout.decode().strip()
    stalls = cluster.lab[owner].run(_STALLS.replace("SINCE", since)).stdout.decode().splitlines()
    why = f"{len(lost)} of {len(answers)} requests were not answered: {lost}; {stalls}"
    assert all(line.partition(": ")[2].startswith(CUT) for line in lost), why
    assert len(lost) <= len(stalls), why


def states(cluster: Built) -> dict[str, bytes]:
    return {name: cluster.lab[name].run(_STATE).stdout for name in TOUCHED}


def in_turn(history: RunHistory) -> list[str]:
    """The hosts as they were changed. Fails where one began before another had ended."""
    turns: list[str] = []
    at_work = ""
    decoder = msgspec.json.Decoder(Entry)
    for entry in map(decoder.decode, (history.folder / NAME).read_bytes().splitlines()):
        if isinstance(entry, StepStarted | StepDone):
            assert at_work in ("", entry.host), f"{entry.host} while {at_work} was at work"
            at_work = entry.host
            turns += [] if entry.host in turns else [entry.host]
        elif isinstance(entry, HostFinished):
            at_work = ""
    return turns


def red(cluster: Built, kind: str) -> dict[str, list[Result]]:
    """Before and after the newest run of a kind: the rows that were not green."""
    folder = max(cluster.reports.glob(f"*-{kind}/{NAME}")).parent
    return {
        when: [
            r
            for r in load_results(folder / when / "results.json").results
            if r.verdict not in (Verdict.PASS, Verdict.NOT_APPLICABLE)
        ]
        for when in ("before", "after")
    }


def test_masters_are_mended_one_at_a_time_and_nobody_notices(
    broken: Built, client: LabHost
) -> None:
    owner, before, serves = broken.owner(), states(broken), serving(broken)
    others = [m for m in MASTERS if m != owner]

    done = broken.invoke("fix", *FIX)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = red(broken, "fix")
    assert {(r.host, r.requirement) for r in rows["before"]} >= {
        (host, which) for host in TOUCHED for which in ("SYS-IP-FORWARD", "SVC-KUBELET-NOFILE")
    }
    assert rows["after"] == []
    assert in_turn(broken.histories()[-1]) == [WORKER, *others, owner]
    assert broken.owner() == owner, "nobody had to take it over"

    run = broken.histories()[-1].header.run
    done = broken.invoke("undo", run, "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert in_turn(broken.histories()[-1]) == [WORKER, *others, owner]
    assert states(broken) == before

    assert serving(broken) == serves, "nothing that serves was restarted"
    check_answers(broken, client, owner)


CHANGED = MASTERS[1]


@pytest.fixture
def unbalanced(cluster: Built) -> Iterator[tuple[Built, str]]:
    """A master without haproxy, which fails a guard; another one has a line to be corrected."""
    owner = cluster.owner()
    host = next(name for name in MASTERS if name not in (CHANGED, owner))
    try:
        cluster.lab[CHANGED].run(f"echo net.ipv4.ip_forward=0 >{SYSCTL}")
        cluster.lab[host].run("systemctl stop haproxy")
        yield cluster, host
    finally:
        cluster.inventory.with_name("waivers.toml").unlink(missing_ok=True)
        cluster.lab[CHANGED].run(f"rm -f {SYSCTL}")
        cluster.lab[host].run("systemctl start haproxy")


@pytest.mark.soak("a minute; tests/engine has the rule on recorded hosts")
def test_a_guard_that_a_waiver_accepts_closes_no_gate(unbalanced: tuple[Built, str]) -> None:
    cluster, host = unbalanced
    fix = ("fix", "--only=SYS-IP-FORWARD", f"--hosts={CHANGED}", "--apply", "--yes")
    before = states(cluster)[CHANGED]
    done = cluster.invoke(*fix)
    assert done.returncode == 1, done.stdout + done.stderr
    end = cluster.histories()[-1].hosts[CHANGED]
    assert end.state == "refused"
    assert f"HA-LB-BACKENDS on {host}: FAIL" in end.reason
    assert states(cluster)[CHANGED] == before
    done = cluster.invoke(
        "waive", "HA-LB-BACKENDS", "--aspect=runtime", f"--hosts={host}",
        "--accepts=*haproxy.service does not run*", "--owner=platform team", "--approver=B. Ito",
        "--reason=its load balancer is being replaced", "--compensation=on call", "--ticket=CHG-9",
        f"--expires={datetime.now(UTC).date() + timedelta(days=7)}",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    done = cluster.invoke(*fix)
    assert done.returncode == 0, done.stdout + done.stderr
    assert cluster.histories()[-1].hosts[CHANGED].state == "done"
    assert b"# commented by Hale" in cluster.lab[CHANGED].run(f"cat {SYSCTL}").stdout


def test_no_master_is_changed_while_a_member_of_etcd_is_away(broken: Built, away: None) -> None:
    before = states(broken)
    done = broken.invoke("fix", *FIX, "--max-fail=3")
    assert done.returncode == 1, done.stdout + done.stderr
    history = broken.histories()[-1]
    assert in_turn(history) == [WORKER]
    ends = history.hosts
    assert {h: e.state for h, e in ends.items()} == {
        WORKER: "done", **dict.fromkeys(MASTERS, "refused"),
    }  # fmt: skip
    for master in MASTERS:
        assert (
            "the cluster is unhealthy, so no control-plane node is changed" in ends[master].reason
        )
        assert "etcd" in ends[master].reason
        assert states(broken)[master] == before[master]

"""Drills on a cluster that lives: each once, one that is stopped by Ctrl-C, one by kill -9."""

import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hale.audit import results_file
from hale.drill import journal
from hale.model.drill import CLUSTER_FAULTS
from hale.model.verdict import Verdict
from tests.cluster.cluster_fixture import Built, Running

SOAK = bool(os.environ.get("HALE_SOAK"))
SEED = os.environ.get("HALE_SEED") or os.environ["HALE_DAY"]
MASTERS = ("k8s-master-01", "k8s-master-02", "k8s-master-03")
# What a drill leaves nowhere: its loops, its locks, its masks, manifests aside, its timers.
_LEFT = r"""
ls -d /run/hale-drill /var/lib/hale/lock /etc/kubernetes/*.hale-drill 2>/dev/null
systemctl list-units --all --plain --no-legend 'hale-drill*' | cut -d' ' -f1
systemctl list-unit-files --state=masked-runtime --no-legend haproxy.service | cut -d' ' -f1
pgrep -fa 'hale-drill|[/]readyz -w'  | grep -v pgrep
true
"""


def leftovers(cluster: Built) -> dict[str, str]:
    output = {h.name: h.run(_LEFT).stdout.decode().strip() for h in cluster.lab.hosts}
    return {host: text for host, text in output.items() if text}


def newest(cluster: Built) -> Path:
    return max(cluster.reports.glob("*-drill*"), key=lambda p: p.stat().st_mtime)


def until(
    condition: Callable[[], bool], most: float, shown: Callable[[], object] = lambda: ""
) -> None:
    """`shown` is what a failure prints."""
    end = time.monotonic() + most
    while not condition():
        assert time.monotonic() < end, shown()
        time.sleep(0.2)


def nothing_left(cluster: Built) -> None:
    """systemd ends a drill's units, and the connection's end its loops, a moment later."""
    until(lambda: leftovers(cluster) == {}, 120, lambda: leftovers(cluster))


def taken(cluster: Built, running: Running, known: set[Path]) -> journal.DrillHistory:
    """Wait until something is taken away; the history up to then."""
    found: list[journal.DrillHistory] = []

    def look() -> bool:
        assert running.child.poll() is None, running.account()
        for folder in set(cluster.reports.glob("*-drill*")) - known:
            history = journal.load_drill(folder) if (folder / journal.NAME).exists() else None
            if history and history.active_faults:
                found.append(history)
        return bool(found)

    until(look, 600, running.account)
    return found[0]


def parts() -> list[str]:
    """All of them in a soak; else one that takes a program and one that takes a host's power.

    Both in such a way that each requirement which drills judge is judged.
    """
    if SOAK:
        return list(CLUSTER_FAULTS)
    return random.Random(SEED).choice([["vip", "worker"], ["etcd", "master"]])


def test_drills_are_survived_and_leave_nothing(cluster: Built) -> None:
    before = cluster.owner()
    done = cluster.invoke("drill", ",".join(parts()), "--yes")
    assert done.returncode in (0, 1), done.stdout + done.stderr
    folder = newest(cluster)
    found = results_file.load_results(folder / "results.json")
    assert found.run.kind == "drill"
    assert found.run.state == "finished", done.stdout
    assert found.run.incomplete == []
    rows = {r.requirement: r for r in found.results}
    assert set(rows) == {"HA-VIP-OWNER", "HA-SELF-HEALING"}
    assert rows["HA-SELF-HEALING"].verdict is Verdict.PASS, rows["HA-SELF-HEALING"].actual
    assert rows["HA-VIP-OWNER"].verdict is not Verdict.UNKNOWN, rows["HA-VIP-OWNER"].actual
    saved: dict[str, Any] = json.loads((folder / "drill.json").read_text())
    assert saved["ill"] == [], saved["ill"]
    drills = {d["part"]: d for d in saved["drills"]}
    assert list(drills) == parts()
    for part, drill in drills.items():
        assert drill["doubt"] == "", f"{part}: {drill['doubt']}"
        # 20 a second, on a machine that is busy
        assert drill["asks"] > 10 * drill["ended"], f"{part}: {drill['asks']} in {drill['ended']} s"
        open_ends = [t for t in drill["things"] if t["broken"] and not t["broken"][-1]["ended"]]
        assert not open_ends, f"{part}: {open_ends}"
    # What is lost shows in the record: a blow that nobody felt was none.
    if vip := drills.get("vip"):
        assert vip["host"] == before
        assert vip["gaps"]
        assert vip["failed"]
    if etcd := drills.get("etcd"):
        assert etcd["things"][1]["broken"]
    for part in {"worker", "master"} & set(drills):
        names = {t["name"]: t["broken"] for t in drills[part]["things"]}
        assert names["replicas"]
        assert names["nodes Ready"]
    page = (folder / "report.html").read_text()
    assert "injected and reverted" in (folder / "change.html").read_text()
    assert page.count("<svg") == 2 * len(drills)
    assert "hale-drill" not in cluster.kubectl("get", "namespaces")
    nothing_left(cluster)


def test_ctrl_c_gives_back_what_was_taken(cluster: Built) -> None:
    known = set(cluster.reports.glob("*-drill*"))
    running = cluster.start("drill", "apiserver", "--yes")
    try:
        host = taken(cluster, running, known).active_faults[0].host
        runs = "pgrep -x kube-apiserver"
        until(
            lambda: cluster.lab[host].run(runs, check=False).returncode == 1, 120, running.account
        )
        running.child.send_signal(signal.SIGINT)
        assert running.child.wait(900) == 1, running.account()
    finally:
        running.kill()
    folder = newest(cluster)
    history = journal.load_drill(folder)
    assert history
    assert not history.active_faults
    assert history.end
    assert history.end.state == "interrupted"
    assert results_file.load_results(folder / "results.json").run.state == "interrupted"
    assert "INTERRUPTED" in (folder / "report.html").read_text()
    assert cluster.lab[host].run("pgrep -x kube-apiserver").stdout
    nothing_left(cluster)


def test_what_a_killed_drill_took_the_next_one_gives_back(cluster: Built) -> None:
    known = set(cluster.reports.glob("*-drill*"))
    running = cluster.start("drill", "vip", "--yes")
    try:
        host = taken(cluster, running, known).active_faults[0].host
        masked = "systemctl show --property=LoadState --value haproxy"
        until(lambda: cluster.lab[host].run(masked).stdout == b"masked\n", 120, running.account)
    finally:
        running.kill()
    assert cluster.lab[host].run(masked).stdout == b"masked\n"
    # The client and the watchers are gone with the connections.
    until(
        lambda: not any("readyz -w" in text for text in leftovers(cluster).values()),
        240,
        lambda: leftovers(cluster),
    )
    done = cluster.invoke("drill", "--revert")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "reverting: haproxy" in done.stdout
    assert cluster.lab[host].run("systemctl is-active haproxy").stdout == b"active\n"
    history = journal.load_drill(newest(cluster))
    assert history
    assert history.end
    assert history.end.state == "restored"
    nothing_left(cluster)
    again = cluster.invoke("drill", "--revert")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "has anything left to revert" in again.stdout


def test_a_cluster_that_is_not_whole_is_not_drilled(cluster: Built) -> None:
    host = next(m for m in MASTERS if m != cluster.owner())
    cluster.lab[host].run("systemctl stop haproxy")
    try:
        done = cluster.invoke("drill", "vip", "--yes")
    finally:
        cluster.lab[host].run("systemctl start haproxy")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "the cluster is unhealthy: " in done.stderr
    assert f"HA-LB-BACKENDS on {host}" in done.stderr
    assert not (newest(cluster) / journal.NAME).exists()
    nothing_left(cluster)

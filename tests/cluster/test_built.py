"""A cluster as `invoke install` leaves it: audited, said again, its secrets nowhere."""

import stat
import subprocess
from pathlib import Path

import pytest

from hale.audit import results_file
from hale.install import engine, scheduler
from hale.model.verdict import Verdict
from tests.cluster import known_secrets_main
from tests.cluster.cluster_fixture import KEY, NOT_ASKED_FOR, PLANTED, TOKEN, Built, phases
from tests.cluster.fault_audit import MEASURED, until
from tests.engine.pytest_cli import typed

# Where a host may keep what a run has left: not etcd's own data, which holds the cluster's token.
_GREP = "grep -rlsaF -e {} /etc /root /run /tmp /var/log /var/lib/hale /var/lib/kubelet /home"


def test_all_five_hosts_are_ready_nodes(cluster: Built) -> None:
    rows = [line.split() for line in cluster.kubectl("get nodes --no-headers").splitlines()]
    assert {row[0]: row[1] for row in rows} == {h.name: "Ready" for h in cluster.lab.hosts}
    assert {row[0] for row in rows if "control-plane" in row[2]} == {
        h.name for h in cluster.lab.hosts if h.spec.role == "masters"
    }
    assert {row[4] for row in rows} == {"v1.34.4"}


def test_the_audit_at_the_end_is_green(cluster: Built) -> None:
    if cluster.first is None:
        pytest.skip("the cluster was there before")
    (folder,) = cluster.reports.glob("*-install")
    made = max(folder.glob("*-audit"))
    found = results_file.load_results(made / "results.json").results
    red = [r for r in found if r.verdict not in (Verdict.PASS, Verdict.NOT_APPLICABLE)]
    assert not red
    assert {r.requirement for r in found} >= {"HA-APISERVER-VIP", "HA-ETCD-MEMBERS", "SWAP-OFF"}


def test_it_passes_the_extended_profile(cluster: Built, tmp_path: Path) -> None:
    given = (f"--inventory={cluster.inventory}", "--hosts=all", "--profile=extended")
    patient = ("--connect-timeout=60", "--gather-timeout=240")
    audits = 0

    def red() -> list[str]:
        nonlocal audits
        audits += 1
        done = typed(tmp_path / f"{audits}", *given, *patient, timeout=600)
        return [
            f"{row.requirement} {row.aspect} on {row.host}: {row.verdict}: {row.actual}"
            for row in done.results.results
            if row.verdict.failed and row.requirement not in MEASURED
        ]

    # The first audit has it, but on a machine that is busy.
    assert not until(120, red)


def test_the_journal_has_every_phase_and_kubeadms_seconds(cluster: Built) -> None:
    if cluster.first is None:
        pytest.skip("the cluster was there before")
    history = next(s for s in cluster.histories() if s.header.kind == "install")
    ended = phases(history)
    assert ended.pop("ready") in ("done", "skipped"), "the last node may be ready when it is asked"
    unasked = {name: ended.pop(name) for name in NOT_ASKED_FOR}
    assert unasked == dict.fromkeys(NOT_ASKED_FOR, "skipped")
    others = [name for name in scheduler.phase_names() if name not in (*NOT_ASKED_FOR, "ready")]
    assert ended == dict.fromkeys(others, "done")
    own = [a for a in history.acts if a.kubeadm and a.phase != "images"]
    (pulled,) = (a for a in history.acts if a.kubeadm and a.phase == "images")
    assert pulled.host == cluster.lab.hosts[0].name, "as init would do itself"
    assert sorted(a.phase for a in own) == ["init", *["masters"] * 2, *["workers"] * 2]
    assert all(a.seconds > 0.5 for a in own)
    together = engine.kubeadm_seconds(history.acts)
    assert max(a.seconds for a in own) < together < sum(a.seconds for a in (pulled, *own))


def test_said_again_it_does_nothing(cluster: Built) -> None:
    done = cluster.install()
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    history = cluster.histories()[-1]
    ended = phases(history)
    # A node whose kubelet is late may be waited for: nothing else of it is done.
    assert ended.pop("ready") in ("done", "skipped")
    others = [name for name in scheduler.phase_names() if name != "ready"]
    assert ended == dict.fromkeys(others, "skipped")
    assert history.acts == []


def test_the_plan_of_a_cluster_is_that_nothing_is_to_do(cluster: Built) -> None:
    done = cluster.invoke("install", "--plan")
    assert done.returncode == 0, done.stderr
    assert "would do:" not in done.stdout
    assert done.stdout.count("skipped: the inventory asks for no") == len(NOT_ASKED_FOR)
    expected = len(scheduler.phase_names()) + 1 - len(NOT_ASKED_FOR)
    assert done.stdout.count("  done") == expected, "the gate and the phases"


def test_one_master_has_the_vip_and_every_haproxy_three_backends(cluster: Built) -> None:
    masters = cluster.lab.hosts[:3]

    def wrong() -> list[str]:
        found, holders = [], []
        for host in masters:
            if "10.208.1.190/" in host.run("ip -o addr show").stdout.decode():
                holders.append(host.name)
            output = host.run("echo show stat | socat -t 20 - /run/haproxy/admin.sock").stdout
            lines = output.decode().splitlines()
            rows = [line.split(",") for line in lines if line.startswith("apiservers,")]
            states = {row[1]: row[17] for row in rows}
            if states != {**{h.name: "UP" for h in masters}, "BACKEND": "UP"}:
                found.append(f"{host.name}: {states}")
            # While the next check is on its way, haproxy puts "* " before what the last one found.
            checks = {row[1]: row[36].removeprefix("* ") for row in rows if row[1] != "BACKEND"}
            if checks != {h.name: "L7OK" for h in masters}:
                found.append(f"{host.name}: {checks}, and not all by /readyz")
        return found if len(holders) == 1 else [*found, f"the VIP is on {holders}"]

    assert not until(120, wrong)


def test_the_kubeconfig_is_the_operators_alone(cluster: Built, tmp_path: Path) -> None:
    out = tmp_path / "admin.conf"
    done = cluster.invoke("kubeconfig", "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    text = out.read_text()
    key = next(line for line in text.splitlines() if "client-key-data" in line).split()[1]
    assert key not in done.stdout + done.stderr
    admin = cluster.lab.hosts[0].run("cat /etc/kubernetes/admin.conf").stdout
    assert out.read_bytes() == admin
    done = cluster.invoke("kubeconfig", "--out", str(tmp_path / "no/such/folder"))
    assert done.returncode == 1
    assert "cannot be written" in done.stderr


def test_no_secret_is_left_anywhere(cluster: Built) -> None:
    if cluster.first is None or cluster.sampled is None:
        pytest.skip("the cluster was there before")
    assert cluster.sampled.looks > 20
    assert cluster.sampled.kubeadm > 5, "kubeadm was at work while we looked"
    assert cluster.sampled.found == set()
    shown = cluster.first.stdout + cluster.first.stderr
    assert not [s for s in PLANTED if s in shown]
    for path in cluster.reports.rglob("*"):
        if path.is_file():
            raw = path.read_bytes()
            assert not [s for s in PLANTED if s.encode() in raw], path
    words = " -e ".join((TOKEN, KEY))
    for host in cluster.lab.hosts:
        assert host.run(_GREP.format(words), check=False, timeout=300).stdout == b""
        read = f"journalctl --no-pager -o cat | grep -cF -e {words}"
        log = host.run(read, check=False, timeout=300)
        assert log.stdout == b"0\n"
    assert shown.count(known_secrets_main.USED) == 2, "token and key were the run's own"


def test_what_joins_have_used_is_gone(cluster: Built) -> None:
    held = cluster.kubectl("-n kube-system get secrets -o name")
    assert "bootstrap-token-" not in held
    assert "kubeadm-certs" not in held


def test_the_wrong_names_reset_nothing(cluster: Built) -> None:
    for words, output in (
        (("--yes", "--cluster-name", "berlin"), "the cluster's name is 'kubernetes', not 'berlin'"),
        (("--yes",), "name the cluster to remove: --cluster-name NAME"),
        (("--cluster-name", "kubernetes"), "pass --yes to reset without confirmation"),
    ):
        done = cluster.invoke("reset", *words)
        assert (done.returncode, output in done.stderr) == (1, True), done.stderr
    assert isinstance(cluster.kubectl("get nodes"), str)


def test_a_reset_that_costs_the_quorum_is_refused(cluster: Built) -> None:
    done: subprocess.CompletedProcess[str] = cluster.reset("--hosts", "k8s-master-02,k8s-master-03")
    assert done.returncode == 1
    assert "etcd has 3 members, and 2 of them are its majority" in done.stderr
    assert "--allow-quorum-loss" in done.stderr
    assert cluster.histories()[-1].acts == []

"""The shell scripts of other steps, run here: with stand-ins for the programs of a host."""

import io
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from hale.install import executor, revoke
from hale.install.phase import RunScript
from hale.install.progress import InstallProgress
from hale.install.secrets import CERTIFICATES, TOKEN
from remediate.cluster import scripts
from tests.install import factories
from tests.install.script_host import Here, run

ETCD = {"pki": "/pki", "port": "2379", "url": "https://10.0.0.2:2380"}


@pytest.mark.parametrize("refused", ["nothing", "apply -f /dev/stdin"])
def test_a_manifest_is_noted_before_and_after(tmp_path: Path, refused: str) -> None:
    """If kubectl refuses it, the note says that it was begun."""
    log = tmp_path / "log"
    fake = tmp_path / "kubectl"
    fake.write_text(f'#!/bin/sh\necho "$*" >>{log}\ncase "$*" in *"{refused}"*) exit 1; esac\n')
    fake.chmod(0o755)
    script = scripts.load(
        "apply_manifest",
        kubectl=str(fake),
        notes="hale-manifests",
        key="k",
        applying="applying",
        digest="d",
    ).replace("--server-side --force-conflicts ", "")
    done = subprocess.run(["sh", "-euc", f"sleep() {{ :; }}\n{script}"], input=b"x\n", check=False)
    output = log.read_text().splitlines()
    note = "-n kube-system annotate --overwrite configmap hale-manifests k="
    assert output[:2] == ["apply --server-side -f -", f"{note}applying"]
    if refused == "nothing":
        assert (output[2:], done.returncode) == (["apply -f /dev/stdin", f"{note}d"], 0)
    else:
        assert (set(output[2:]), done.returncode) == ({"apply -f /dev/stdin"}, 1)


def test_the_member_of_that_peer_url_is_removed(tmp_path: Path) -> None:
    members = (
        '{"header":{},"members":[{"ID":"11","peerURLs":["https://10.0.0.1:2380"]},'
        '{"ID":"22","peerURLs":["https://10.0.0.2:2380"]},{"ID":"33","peerURLs":[]}]}'
    )
    curl = f"case $* in *member/list*) printf %s '{members}';; esac"
    done = run(tmp_path, scripts.load("remove_etcd_member", **ETCD), curl=curl)
    assert (done.returncode, done.stdout) == (0, "removing the member 22\n"), done.stderr
    calls = (tmp_path / "calls").read_text().splitlines()
    assert len(calls) == 2
    assert calls[1].endswith('https://127.0.0.1:2379/v3/cluster/member/remove -d {"ID":"22"}')
    assert "--cacert /pki/ca.crt" in calls[1]


@pytest.mark.parametrize("status", [0, 3])
def test_a_join_reads_its_configuration_and_ends_with_kubeadms_status(
    tmp_path: Path, status: int
) -> None:
    script = scripts.load("join_control_plane", readyz="echo 200") + "exit $joined\n"
    kubeadm = f"cat; sleep 0.3; exit {status}"
    done = run(tmp_path, script, "kind: X\n", kubeadm=kubeadm, systemctl="")
    assert (done.returncode, done.stdout) == (status, "kind: X\n"), done.stderr
    calls = (tmp_path / "calls").read_text().splitlines()
    assert sorted(calls) == ["kubeadm join --config /dev/stdin", "systemctl restart kubelet"]


def test_surplus_pods_of_coredns_are_deleted_one_by_one(tmp_path: Path) -> None:
    pods = tmp_path / "pods"
    pods.write_text("n1 coredns-a\nn1 coredns-b\n")
    kubectl = (
        f"case $* in *'get pods'*) cat {pods};; "
        f"*'delete pod coredns-b'*) printf 'n1 coredns-a\\nn2 coredns-c\\n' >{pods};; esac"
    )
    script = scripts.load("spread_coredns", kubectl="kubectl --server https://x", nodes="2")
    done = run(tmp_path, script, kubectl=kubectl)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "deleting coredns-b, which is not alone on its node\n"
    deleted = [c for c in (tmp_path / "calls").read_text().splitlines() if " delete pod " in c]
    assert deleted == [
        "kubectl --server https://x -n kube-system delete pod coredns-b --timeout 60s"
    ]


def test_a_cluster_of_one_node_keeps_its_pods_of_coredns(tmp_path: Path) -> None:
    script = scripts.load("spread_coredns", kubectl="kubectl --server https://x", nodes="1")
    kubectl = "case $* in *'get pods'*) printf 'n1 coredns-a\\nn1 coredns-b\\n' ;; esac"
    done = run(tmp_path, script, kubectl=kubectl)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "delete" not in (tmp_path / "calls").read_text()


def test_a_service_is_started_and_waited_for(tmp_path: Path) -> None:
    script = scripts.load(
        "start_service", unit="haproxy", action="reload-or-restart", ports="16443"
    )
    systemctl = "case $* in *is-enabled*|*is-failed*) exit 1;; esac"
    done = run(tmp_path, script, systemctl=systemctl, ss="echo LISTEN 0 9 *:16443 *:*")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "calls").read_text().splitlines() == [
        "systemctl -q is-enabled haproxy", "systemctl -q enable haproxy",
        "systemctl -q is-failed haproxy", "systemctl reload-or-restart haproxy",
        "systemctl -q is-active haproxy", "ss -Hltn",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("keepalived", "status"),
    [("exit 143", 0), ("exit 0", 0), ("echo bad; exit 143", 1), ("exit 4", 1)],
)
def test_keepalived_judges_its_configuration(tmp_path: Path, keepalived: str, status: int) -> None:
    script = f"new=/conf\n{scripts.load('check_keepalived')}"
    done = run(tmp_path, script, keepalived=keepalived)
    assert done.returncode == status, done.stdout
    assert (tmp_path / "calls").read_text() == "keepalived -t -f /conf\n"


KUBECTL = """\
#!/bin/sh
echo "$*" >>"$0.log"
case $1 in get) printf bootstrap-token-abcdef ;; *) exit $(cat "$0.status") ;; esac
"""


@pytest.mark.parametrize(
    ("uploaded", "deleted"),
    [
        (set(), None),
        ({TOKEN}, "bootstrap-token-ID"),
        ({CERTIFICATES}, "kubeadm-certs bootstrap-token-abcdef"),
        ({TOKEN, CERTIFICATES}, "bootstrap-token-ID kubeadm-certs bootstrap-token-abcdef"),
    ],
)
def test_what_joins_have_used_is_deleted(
    uploaded: set[str], deleted: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "kubectl"
    path.write_text(KUBECTL)
    path.chmod(0o755)
    monkeypatch.setattr(revoke, "KUBECTL", str(path))
    (tmp_path / "kubectl.status").write_text("1")
    site = factories.made(tmp_path)
    site.secrets.attempted |= uploaded

    class Sessions:
        def session(self, _: str) -> Here:
            return Here()

    sessions: Any = Sessions()
    assert bool(revoke.revoke(site, sessions)) == bool(uploaded), "kubectl failed"
    (tmp_path / "kubectl.status").write_text("0")
    assert revoke.revoke(site, sessions) == ""
    log = path.with_name("kubectl.log")
    if deleted is None:
        assert not log.exists()
        return
    token = site.secrets.token.reveal()
    wanted = f"delete secret --ignore-not-found {deleted}".replace("ID", token.partition(".")[0])
    assert log.read_text().splitlines()[-1] == wanted
    assert token.partition(".")[2] not in log.read_text()
    assert revoke.revoke(site, sessions) == "", "once"


def test_every_note_of_a_step_stays_on_the_screen() -> None:
    shown = io.StringIO()
    step = RunScript("m1", "packages", "")
    with InstallProgress(Console(file=shown, width=200)) as progress:
        lines = executor._Lines(lambda line: progress.output_line(step, line))
        lines.take(b"Purging c\nnote: a stays\nnote: b stays\n")
    assert re.findall(r"! (m1: .*)", shown.getvalue()) == ["m1: a stays", "m1: b stays"]

"""What Hale notes before kubeadm runs on a host, and that it resets nothing else."""

import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import load_pem_x509_certificate

from facts.cluster import kubernetes
from facts.cluster.kubernetes import Foreign, Node, Note
from hale.install import refusals
from hale.install.phase import Observations, RunScript
from hale.model.evidence import Evidence, HostView, Output
from hale.ssh import SessionPool
from hale.ssh.remote import ATOMIC_WRITE
from remediate.cluster import kubeadm, reset
from tests.install import factories

CASES = Path(__file__).parent / "phases" / "workers"
PEM = tomllib.loads((CASES / "one-was-cut-off.toml").read_text())["files"]["m1"][kubernetes.CA]
DIGEST = load_pem_x509_certificate(PEM.encode()).fingerprint(SHA256()).hex()
FOLDERS = ("/etc/kubernetes", "/var/lib/")


class HostHere:
    """Scripts of a host, run below a folder, with stand-ins for its programs."""

    def __init__(self, root: Path, tmp_path: Path) -> None:
        self.root = root
        self.site = factories.made(tmp_path)
        self.calls = tmp_path / "calls"

    def path(self, there: str) -> Path:
        """A file of the host, in a folder that exists."""
        path = Path(f"{self.root}{there}")
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def run(self, script: str, kubeadm: str = "") -> "subprocess.CompletedProcess[str]":
        """The script, with the configuration on its standard input."""
        for folder in FOLDERS:
            script = script.replace(folder, f"{self.root}{folder}")
        programs = self.root / "bin"
        programs.mkdir(exist_ok=True)
        for name, body in (("kubeadm", kubeadm), ("systemctl", "echo active"), ("sync", "")):
            (programs / name).write_text(f'#!/bin/sh\necho "{name} $*" >>{self.calls}\n{body}\n')
            (programs / name).chmod(0o755)
        self.calls.write_text("")
        return subprocess.run(
            ["/bin/sh", "-c", f"{ATOMIC_WRITE}set -eu\n{script}"],
            input="kind: X\n",
            capture_output=True,
            text=True,
            env={"PATH": f"{programs}:/usr/sbin:/usr/bin:/sbin:/bin"},
            check=False,
        )

    def node(self) -> Node:
        """What the probe finds."""
        done = self.run(kubernetes.probe(stacked=True).script)
        assert done.returncode == 0, done.stderr
        text = done.stdout.replace(str(self.root), "")
        output = Output("kubernetes.node", 0, text, "", 0.0)
        return kubernetes.read(HostView(Evidence("h", {"kubernetes.node": output}), "kubernetes"))

    def ran_kubeadm(self) -> bool:
        return "kubeadm " in self.calls.read_text()


@pytest.fixture
def host(tmp_path: Path) -> HostHere:
    (tmp_path / "root").mkdir()
    return HostHere(tmp_path / "root", tmp_path)


@pytest.mark.parametrize("before", ["", "Certificate:\n    Data:\n"])
@pytest.mark.parametrize(
    "after", ["", "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n"]
)
def test_the_digest_is_that_of_the_first_certificate(
    host: HostHere, before: str, after: str
) -> None:
    host.path(kubernetes.CA).write_text(before + PEM + after)
    assert host.node().ca == DIGEST
    host.path(kubernetes.CA).write_text("no certificate\n")
    assert host.node().ca == "garbled"
    host.path(kubernetes.CA).write_text("")
    assert host.node().ca == ""


@pytest.mark.parametrize("master", [True, False])
def test_a_join_is_noted_before_kubeadm_runs(host: HostHere, master: bool) -> None:
    note = host.path(kubernetes.JOIN_BEGAN)
    script = kubeadm.join_script(host.site, DIGEST, master=master)
    done = host.run(script, kubeadm=f"cat {note} -")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:2] == [DIGEST, "kind: X"]
    assert not note.exists(), "it has joined"
    # It fails before it writes: a join by hand afterwards is not Hale's.
    assert host.run(script, kubeadm="exit 3").returncode == 3
    assert not note.exists()
    conf = host.path("/etc/kubernetes/bootstrap-kubelet.conf")
    assert host.run(script, kubeadm=f"echo >{conf}; exit 3").returncode == 3
    assert host.node().join == Note(DIGEST)
    assert host.node().foreign_join(DIGEST) is None
    assert host.node().foreign_join("ab" * 32) is Foreign.OTHER_CLUSTER
    # What somebody else has begun since it was observed gets no note.
    note.unlink()
    done = host.run(script)
    assert (done.returncode, host.ran_kubeadm()) == (1, False)
    assert "bootstrap-kubelet.conf is there by now: nothing was changed" in done.stderr
    assert not note.exists()


@pytest.mark.parametrize("given", [True, False])
def test_an_init_is_noted_before_kubeadm_runs(host: HostHere, given: bool) -> None:
    note, ca = host.path(kubernetes.INIT_BEGAN), host.path(kubernetes.CA)
    if given:
        ca.write_text(PEM)
    script = kubeadm.init_script(host.site)
    noted = DIGEST if given else kubernetes.NO_CA
    done = host.run(script, kubeadm=f"cat {note} -")
    assert (done.returncode, done.stdout) == (0, f"{noted}\nkind: X\n"), done.stderr
    assert not note.exists()
    # It is killed after it has made a CA.
    conf = host.path("/etc/kubernetes/admin.conf")
    ca.unlink(missing_ok=True)
    (host.root / "pem").write_text(PEM)
    made = f"sleep 0.05; cat {host.root}/pem >{ca}; echo >{conf}"
    assert host.run(script, kubeadm=f"{made}; kill -9 $PPID").returncode == -9
    assert host.node().init == Note(kubernetes.NO_CA)
    assert host.node().foreign_init() is None
    # … or fails.
    for path in (conf, ca, note):
        path.unlink()
    assert host.run(script, kubeadm=f"{made}; exit 7").returncode == 7
    assert host.node().init == Note(DIGEST)
    # Another CA has taken its place.
    ca.write_text(PEM.replace("MIIBF", "MIICF"))
    assert host.node().foreign_init() is Foreign.OTHER_CA


def cut_off(host: HostHere, note: str) -> None:
    """A host that has a CA, an admin.conf, and that note of an init and of a join."""
    host.path("/etc/kubernetes/admin.conf").write_text("")
    for began in (kubernetes.INIT_BEGAN, kubernetes.JOIN_BEGAN):
        host.path(began).write_text(note)
    host.path(kubernetes.CA).write_text(PEM)


def changed_ca(host: HostHere) -> None:
    host.path(kubernetes.CA).write_text(PEM.replace("MIIBF", "MIICF"))


def no_note(host: HostHere) -> None:
    host.path(kubernetes.INIT_BEGAN).unlink()
    host.path(kubernetes.JOIN_BEGAN).unlink()


def another_note(host: HostHere) -> None:
    cut_off(host, "ab" * 32)


@pytest.mark.parametrize("init", [True, False])
@pytest.mark.parametrize(
    ("meanwhile", "why"),
    [
        (lambda _: None, ""),
        (changed_ca, "is not the CA that was noted"),
        (no_note, "any more"),
        (another_note, "has changed"),
    ],
)
def test_a_clean_up_looks_again_on_the_host(
    host: HostHere, init: bool, meanwhile: Callable[[HostHere], None], why: str
) -> None:
    cut_off(host, f"{DIGEST}\n")
    script = kubeadm.cleanup_script(host.site, Note(DIGEST), init=init)
    meanwhile(host)
    done = host.run(script, kubeadm=f"rm -rf {host.root}/etc/kubernetes")
    assert (done.returncode, host.ran_kubeadm()) == ((1, False) if why else (0, True)), done.stderr
    if why:
        assert f"{why}, so nothing was reset" in done.stderr
        assert host.path(kubernetes.CA).exists()
        return
    # What was cut off after kubeadm's reset goes on; a join by hand has no note.
    assert host.node().init == Note(DIGEST, cleaning=init)
    assert (host.node().join is None) is not init


def test_a_completed_init_is_not_cleaned_up(host: HostHere) -> None:
    cut_off(host, f"{DIGEST}\n")
    host.path("/etc/kubernetes/kubelet.conf").write_text(f"x: /{kubernetes.ROTATING}\n")
    done = host.run(kubeadm.cleanup_script(host.site, Note(DIGEST), init=True))
    assert (done.returncode, host.ran_kubeadm()) == (1, False)
    assert "kubeadm has completed by now, so nothing was reset" in done.stderr


def test_an_older_ca_is_not_that_of_an_init_without_one(host: HostHere) -> None:
    """An earlier Hale's note is empty."""
    cut_off(host, "")
    host.path(kubernetes.INIT_BEGAN).touch()  # later than the CA
    assert host.node().init == Note(kubernetes.NO_CA)
    assert host.node().foreign_init() is Foreign.OTHER_CA
    done = host.run(kubeadm.cleanup_script(host.site, Note(kubernetes.NO_CA), init=True))
    assert (done.returncode, host.ran_kubeadm()) == (1, False)
    host.path(kubernetes.CA).touch()
    assert host.node().foreign_init() is None
    assert (
        host.run(kubeadm.cleanup_script(host.site, Note(kubernetes.NO_CA), init=True)).returncode
        == 0
    )
    assert host.node().init == Note(DIGEST, cleaning=True)


def test_the_gate_refuses_before_any_host_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all hosts, those that have joined and are left alone too."""
    site = factories.made(tmp_path)
    given = tomllib.loads((CASES / "its-node-object-was-deleted.toml").read_text())
    outputs = {h.name: given["outputs"]["*"] | given["outputs"].get(h.name, {}) for h in site.hosts}
    found = factories.observed(outputs, given["files"])
    monkeypatch.setattr(refusals, "phase_names", lambda: ("workers",))
    monkeypatch.setattr(refusals, "observe", lambda *_: (found,))
    (reason,) = refusals.unsupported(site, SessionPool({}))
    assert reason.startswith("w2: kubeadm's files are there")
    assert refusals.unsupported(site, SessionPool({}), {"m1", "m2", "m3", "w1", "w2"}) == (reason,)


def test_a_reset_forgets_what_has_begun(tmp_path: Path) -> None:
    site = factories.made(tmp_path)
    none = {h.name: {"nodes.nodes": "at none\n"} for h in site.hosts}
    observations: Observations = factories.observed(none, {})
    steps = [s for b in reset.batches(site, observations, site.hosts) for s in b.steps]
    scripts = [s.script for s in steps if isinstance(s, RunScript)]
    last = [s for s in scripts if kubernetes.INIT_BEGAN in s]
    assert len(last) == len(site.hosts)
    assert all(f"rm -f {kubernetes.JOIN_BEGAN}\n" in s for s in last)

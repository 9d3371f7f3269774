"""The shell scripts around `kubeadm init`, run here: a given CA, an init that was interrupted."""

import subprocess
from pathlib import Path

import pytest

from facts.cluster import kubernetes
from hale.install.phase import RunScript
from remediate.cluster import kubeadm, reset, scripts
from tests.install import factories
from tests.install.script_host import run

# Of the scripts that note that an init begins; without a certificate.
NOTING = kubernetes.CERTIFICATE_DIGEST + scripts.load("note_began")
NO_CA = {"ca": "/nonexistent", "none": kubernetes.NO_CA, "kubeadm": ""}


def test_a_given_ca_survives_an_init_that_is_cut_off(tmp_path: Path) -> None:
    pki, given, began = tmp_path / "pki", tmp_path / "given", tmp_path / "hale" / "began"
    pki.mkdir()
    ca, key = pki / "ca.crt", pki / "sa.key"
    ca.write_text("the company's\n")
    removed = tmp_path / "removed"
    folders = {"given": str(given), "removed": str(removed), "began": str(began)}
    begin = NOTING + scripts.load("begin_init", str(ca), str(key), **folders, **NO_CA)
    assert run(tmp_path, f"{begin}echo kubeadms >{key}").returncode == 0
    assert began.exists()
    # The second attempt: what is there by now is not the site's.
    assert run(tmp_path, begin).returncode == 0
    cleanup = (
        scripts.load("save_pki", pki=str(pki), removed=str(removed))
        + f"rm -rf {pki}\n"
        + scripts.load("restore_given", str(ca), str(key), given=str(given))
    )
    done = run(tmp_path, cleanup)
    assert (done.returncode, done.stderr) == (0, "")
    assert ca.read_text() == "the company's\n"
    assert not key.exists()
    (copy,) = removed.iterdir()
    assert sorted(p.name for p in copy.iterdir()) == ["ca.crt", "sa.key"]
    assert {p.stat().st_mode & 0o077 for p in (removed, given)} == {0}
    # The next cluster has another CA: the copy of the former one stays.
    began.unlink()
    ca.write_text("another\n")
    assert run(tmp_path, begin).returncode == 0
    assert Path(f"{given}{ca}").read_text() == "another\n"
    (former,) = removed.glob("given.*")
    assert Path(f"{former}{ca}").read_text() == "the company's\n"


def test_an_init_brings_a_given_ca_back_where_its_clean_up_was_cut_off(tmp_path: Path) -> None:
    pki, given = tmp_path / "pki", tmp_path / "given"
    ca, key = pki / "ca.crt", pki / "sa.key"
    pki.mkdir()
    ca.write_text("the company's\n")
    folders = {"given": given, "removed": tmp_path / "removed", "began": tmp_path / "began"}
    begin = NOTING + scripts.load(
        "begin_init", str(ca), str(key), **{n: str(path) for n, path in folders.items()}, **NO_CA
    )
    assert run(tmp_path, begin).returncode == 0
    ca.unlink()  # kubeadm reset, and then the power fails
    pki.rmdir()
    done = run(tmp_path, begin)
    assert (done.returncode, done.stderr) == (0, "")
    assert ca.read_text() == "the company's\n"
    assert not key.exists()
    ca.write_text("what there is stays\n")
    assert run(tmp_path, begin).returncode == 0
    assert ca.read_text() == "what there is stays\n"


@pytest.mark.parametrize("more", ["", "endpoint_kind=kube-vip\n"])
def test_a_reset_ends_an_init_that_was_interrupted(tmp_path: Path, more: str) -> None:
    site = factories.made(tmp_path, more)
    nothing = {"nodes.nodes": "at none\n"}
    found = factories.observed({h.name: nothing for h in site.hosts}, {})
    steps = [
        step
        for batch in reset.batches(site, found, site.hosts)
        for step in batch.steps
        if isinstance(step, RunScript)
    ]
    for host in site.hosts:
        last = [s for s in steps if s.host == host.name][-1].script
        # After all the rest, and in no subshell: an interrupted reset is still one of that init.
        assert last.splitlines()[-1] == f"rm -f {kubernetes.INIT_BEGAN}"
    parsed = subprocess.run(["sh", "-n", "-c", last], capture_output=True, check=False)
    assert parsed.returncode == 0, parsed.stderr


@pytest.mark.parametrize(
    ("writes", "forgotten"), [([], True), (["sa.key"], False), (["etcd/ca.crt"], False)]
)
def test_an_init_that_failed_and_wrote_nothing_has_not_begun(
    tmp_path: Path, writes: list[str], forgotten: bool
) -> None:
    pki, given, began = tmp_path / "pki", tmp_path / "given", tmp_path / "began"
    ca, manifest = pki / "ca.crt", tmp_path / "manifest"
    for path in (began, ca, Path(f"{given}{ca}"), *(pki / name for name in writes)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    folders = {"pki": str(pki), "given": str(given), "began": str(began)}
    forget = NOTING + scripts.load("forget_init", str(ca), str(manifest), **folders, ca=str(ca))
    done = run(tmp_path, forget)
    assert (done.returncode, done.stderr) == (0, "")
    assert began.exists() is not forgotten
    began.touch()
    manifest.touch()  # kubeadm's, whatever the PKI holds
    assert run(tmp_path, forget).returncode == 0
    assert began.exists()


def test_an_init_that_failed_says_so(tmp_path: Path) -> None:
    """And reads its configuration, whatever becomes of it."""
    paths = {"/var/lib/hale": tmp_path / "hale", "/etc/kubernetes": tmp_path / "kubernetes"}
    script = kubeadm.init_script(factories.made(tmp_path))
    for path, here in paths.items():
        script = script.replace(path, str(here))
    began = tmp_path / "hale/install/init-began"
    done = run(tmp_path, script, "the configuration", kubeadm="cat >&2; exit 7", sync="")
    assert (done.returncode, done.stderr) == (7, "the configuration")
    assert not began.exists()
    writes = f"mkdir -p {tmp_path}/kubernetes; echo >{tmp_path}/kubernetes/admin.conf"
    assert run(tmp_path, script, kubeadm=f"{writes}; exit 7", sync="").returncode == 7
    assert began.exists()
    assert run(tmp_path, script, kubeadm="", sync="").returncode == 0
    assert not began.exists()

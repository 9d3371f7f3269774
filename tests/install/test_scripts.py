"""The shell scripts of steps, run here: with stand-ins for the programs of a host."""

import hashlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from facts.cluster import file_digests, kubernetes, leftovers
from hale.install import executor, revoke, scheduler
from hale.install.executor import InstallStepExecutor, InstallStepFailed
from hale.install.phase import NO_FILE, RunScript, WriteFile
from hale.install.progress import InstallProgress
from hale.install.secrets import CERTIFICATES, TOKEN, Secrets
from hale.inventory.cluster_spec import KUBELET, WRITTEN
from hale.model.evidence import Evidence, HostView, Output
from hale.ssh.remote import ATOMIC_WRITE
from hale.ssh.target import CommandResult
from remediate.cluster import kubeadm, reset, scripts, templates
from tests.install import factories

CASES = Path(__file__).parent / "phases"
# Of the scripts that note that an init begins; without a certificate.
NOTING = kubernetes.CERTIFICATE_DIGEST + scripts.load("note_began")
NO_CA = {"ca": "/nonexistent", "none": kubernetes.NO_CA, "kubeadm": ""}
ETCD = {"pki": "/pki", "port": "2379", "url": "https://10.0.0.2:2380"}


class Here:
    """A session whose host is this machine."""

    def run(
        self, command: str, timeout: float, given: bytes = b"", _: object = None
    ) -> CommandResult:
        done = subprocess.run(
            command, shell=True, input=given, capture_output=True, timeout=timeout, check=False
        )
        return CommandResult(done.returncode, done.stdout, done.stderr, 0.0)


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., bool]:
    monkeypatch.setattr(executor, "BACKUP_DIR", str(tmp_path / "original"))
    monkeypatch.setattr(executor, "WRITTEN", str(tmp_path / "written"))
    monkeypatch.setattr(executor, "REPLACED_DIR", str(tmp_path / "replaced"))

    def write(path: Path, content: str, **more: object) -> bool:
        step = WriteFile("h", "t", str(path), content, **more)  # type: ignore[arg-type]
        return InstallStepExecutor(Here(), Secrets()).execute(step, print)  # type: ignore[arg-type]

    return write


def test_a_file_is_written_once(write: Callable[..., bool], tmp_path: Path) -> None:
    path, ran = tmp_path / "new folder" / "a file", tmp_path / "ran"
    after = f"echo x >>'{ran}'"
    assert write(path, "it's\n", mode=0o640, then=after)
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("it's\n", 0o640)
    assert not write(path, "it's\n", mode=0o640, then=after)
    assert write(path, "it's\n", mode=0o600, then=after), "the mode counts too"
    assert ran.read_text() == "x\nx\n"
    assert [p.name for p in path.parent.iterdir()] == ["a file"]
    assert Path(f"{tmp_path}/original{path}.absent").exists()


def read_here(tmp_path: Path, *paths: Path) -> tuple[dict[str, bool], bool]:
    """Of each of these files whether it is Hale's; and whether this host has joined."""
    script = file_digests.probe(map(str, paths)).script
    script = script.replace(WRITTEN, f"{tmp_path}/written").replace(KUBELET, f"{tmp_path}/kubelet")
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    output = Output("written.files", 0, done.stdout, "", 0.0)
    readings = HostView(Evidence("h", {"written.files": output}), file_digests.SUBJECT)
    found = file_digests.read(readings)
    return {p: d.by_hale for p, d in found.items()}, file_digests.joined(readings)


def test_whose_a_file_is(write: Callable[..., bool], tmp_path: Path) -> None:
    ours, theirs, earlier = (tmp_path / n for n in ("ours", "theirs", "earlier"))
    write(ours, "# written by Hale\na\n")
    write(ours, "# written by Hale\nb\n")
    theirs.write_text("a\n# not\n# written by Hale\n")
    earlier.write_text("#!/bin/sh\n# written by Hale: what for\n")
    everything = (ours, theirs, earlier)
    whose = {str(ours): True, str(theirs): False, str(earlier): True}
    assert read_here(tmp_path, *everything) == (whose, False)
    (tmp_path / "kubelet").touch()
    ours.write_text("# written by Hale\nb\nedited\n")
    assert read_here(tmp_path, *everything) == (whose | {str(ours): False}, True)
    ours.write_text("# written by Hale\na\n")
    assert read_here(tmp_path, ours)[0] == {str(ours): True}, "Hale's own of before"


def test_a_file_of_an_earlier_hale_is_copied_first(
    write: Callable[..., bool], tmp_path: Path
) -> None:
    path = tmp_path / "conf"
    write(path, "# written by Hale\na\n")
    shutil.rmtree(tmp_path / "written")  # an earlier Hale kept no record
    path.write_text("# written by Hale\na, edited\n")
    write(path, "# written by Hale\nb\n")
    (copy,) = Path(f"{tmp_path}/replaced{tmp_path}").iterdir()
    assert copy.read_text() == "# written by Hale\na, edited\n"
    write(path, "# written by Hale\nc\n")
    assert len([*copy.parent.iterdir()]) == 1, "what the record knows needs no copy"


def test_what_has_changed_since_it_was_read_is_kept(
    write: Callable[..., bool], tmp_path: Path
) -> None:
    path, ran = tmp_path / "conf", tmp_path / "ran"
    seen = hashlib.sha256(b"as it was read\n").hexdigest()
    path.write_text("edited by the site\n")
    with pytest.raises(InstallStepFailed, match="conf has changed since it was read") as caught:
        write(path, "new\n", replaces=seen, then=f"touch {ran}")
    edited = hashlib.sha256(b"edited by the site\n").hexdigest()
    assert f"{seen} when it was read, {edited} now" in caught.value.output
    with pytest.raises(InstallStepFailed, match="has changed since"):
        write(path, "new\n", replaces=NO_FILE)
    assert path.read_text() == "edited by the site\n"
    path.unlink()
    with pytest.raises(InstallStepFailed, match="has changed since"):
        write(path, "new\n", replaces=seen)
    # While the new file is checked, the site edits.
    path.write_text("as it was read\n")
    with pytest.raises(InstallStepFailed, match="has changed since"):
        write(path, "new\n", replaces=seen, check=f"echo edited >>{path}")
    assert path.read_text() == "as it was read\nedited\n"
    assert not ran.exists()
    assert [p.name for p in tmp_path.glob(".hale-new*")] == []
    path.write_text("as it was read\n")
    assert write(path, "new\n", replaces=seen)
    path.unlink()
    assert write(path, "new\n", replaces=NO_FILE)
    assert not write(path, "new\n", replaces=seen), "it is there already"


def test_what_a_write_on_a_joined_host_may_replace(tmp_path: Path) -> None:
    files = f"{'a' * 64} 644 1.0 /etc/x\n"
    seen = factories.seen(
        {"m1": {"written.files": f"joined\n{files}"}, "m2": {"written.files": files}}, {}
    )
    assert templates.replaces(seen, "m1", "/etc/x") == "a" * 64
    assert templates.replaces(seen, "m1", "/etc/y") == NO_FILE
    assert templates.replaces(seen, "m2", "/etc/x") is None


@pytest.mark.parametrize(
    ("phase", "case"),
    [
        ("runtime", "older-than-its-configuration"),
        ("load_balancer", "the-ca-has-come"),
        ("packages", "not-held"),
    ],
)
def test_every_write_on_a_joined_host_names_what_it_replaces(
    tmp_path: Path, phase: str, case: str
) -> None:
    given = tomllib.loads((CASES / phase / f"{case}.toml").read_text())
    site = factories.made(tmp_path, given.get("inventory", ""))
    everywhere = given["outputs"].pop("*", {})
    outputs = {h.name: everywhere | given["outputs"].get(h.name, {}) for h in site.hosts}
    for one in outputs.values():
        files = re.sub(r"\{sha256 \S+\}", "b" * 64, one.get("written.files", ""))
        hales = "".join(f"hale {line.split()[-1]}\n" for line in files.splitlines())
        one["written.files"] = f"joined\n{hales}{files}"
    found = factories.seen(outputs, given.get("files", {}))
    steps = [s for b in scheduler.load_phase(phase).batches(site, found) for s in b.steps]
    writes = [s for s in steps if isinstance(s, WriteFile)]
    assert writes
    for one_write in writes:
        known = templates.replaces(found, one_write.host, one_write.path)
        assert (one_write.replaces, bool(known)) == (known, True), one_write.path


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
    said = log.read_text().splitlines()
    note = "-n kube-system annotate --overwrite configmap hale-manifests k="
    assert said[:2] == ["apply --server-side -f -", f"{note}applying"]
    if refused == "nothing":
        assert (said[2:], done.returncode) == (["apply -f /dev/stdin", f"{note}d"], 0)
    else:
        assert (set(said[2:]), done.returncode) == ({"apply -f /dev/stdin"}, 1)


def test_what_was_there_first_is_kept(write: Callable[..., bool], tmp_path: Path) -> None:
    path = tmp_path / "conf"
    path.write_text("the site's\n")
    assert write(path, "one\n")
    assert write(path, "two\n")
    assert Path(f"{tmp_path}/original{path}").read_text() == "the site's\n"


def test_an_invalid_file_replaces_nothing(write: Callable[..., bool], tmp_path: Path) -> None:
    path = tmp_path / "conf"
    path.write_text("old\n")
    check = 'cat "$new"; grep -q valid "$new"'
    with pytest.raises(InstallStepFailed, match="is invalid, the old one was kept") as failed:
        write(path, "wrong\n", check=check)
    assert failed.value.output == "wrong"
    assert path.read_text() == "old\n"
    assert write(path, "valid\n", check=check)


def run(
    tmp_path: Path, script: str, given: str = "", **programs: str
) -> subprocess.CompletedProcess[str]:
    """A script with stand-ins for programs; each notes its arguments in `calls`."""
    for name, body in programs.items():
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >>"{tmp_path}/calls"\n{body}\n')
        program.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/sbin:/usr/bin:/sbin:/bin"}
    command = ["/bin/sh", "-c", f"{ATOMIC_WRITE}set -eu\n{script}"]
    return subprocess.run(
        command, input=given, capture_output=True, text=True, env=environment, check=False
    )


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
    script = scripts.load("spread_coredns", kubectl="kubectl --server https://x")
    done = run(tmp_path, script, kubectl=kubectl)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "deleting coredns-b, which is not alone on its node\n"
    deleted = [c for c in (tmp_path / "calls").read_text().splitlines() if " delete pod " in c]
    assert deleted == [
        "kubectl --server https://x -n kube-system delete pod coredns-b --timeout 60s"
    ]


def test_a_service_is_started_and_waited_for(tmp_path: Path) -> None:
    script = scripts.load("start_service", unit="haproxy", action="reload-or-restart", port="16443")
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


HOLDS = """
import fcntl, sys, time
file = open(sys.argv[1], "w")
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""
MADISON = """
case $* in
*kubeadm*) printf '%s\\n' ' kubeadm | 1.34.10-1.1 | x' ' kubeadm | 1.34.1-1.1 | x' \\
  ' kubectl | 1:1.34.1-1.1 | x' ' kubelet | 1.34.1-1.2 | x' ;;
*runc|*socat) echo there ;;
esac
"""
PINNED = {"pinned": "kubeadm kubectl kubelet", "version": "1.34.1", "pattern": "1[.]34[.]1"}


def apt(
    tmp_path: Path, more: dict[str, str] | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    given = PINNED | {"list": "/etc/apt/a b.list", "held": "containerd runc"}
    given |= {"locks": "/none"} | variables
    script = scripts.load("apt", locks=given.pop("locks"))
    script += scripts.load("install_kubernetes_apt", "runc", "socat", **given)
    programs = dict.fromkeys(("apt-get", "apt-mark", "dpkg", "sleep"), "")
    programs |= {"apt-cache": MADISON, "dpkg-query": "exit 1"} | (more or {})
    return run(tmp_path, script, **programs)


def test_apt_installs_and_holds_one_version(tmp_path: Path) -> None:
    done = apt(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    calls = (tmp_path / "calls").read_text().splitlines()
    refresh, install = (line for line in calls if line.startswith("apt-get"))
    assert calls[0] == "dpkg --configure -a"
    assert all(" -o DPkg::Lock::Timeout=120 " in line for line in (refresh, install))
    assert "-o Dir::Etc::sourcelist=/etc/apt/a b.list -o Dir::Etc::sourceparts=-" in refresh
    assert refresh.endswith(" update")
    assert install.endswith(
        " -y install --allow-change-held-packages --allow-downgrades runc socat "
        "kubeadm=1.34.1-1.1 kubectl=1:1.34.1-1.1 kubelet=1.34.1-1.2 containernetworking-plugins"
    )
    assert calls[-1] == "apt-mark -qq hold kubeadm kubectl kubelet runc containernetworking-plugins"


def test_apt_refreshes_all_lists_where_a_package_has_no_candidate(tmp_path: Path) -> None:
    cache = MADISON.replace("*runc|", "")
    assert apt(tmp_path, {"apt-cache": cache}).returncode == 0
    calls = (tmp_path / "calls").read_text().splitlines()
    assert "apt-get -qq -o DPkg::Lock::Timeout=120 update" in calls


def test_plugins_that_are_there_are_neither_upgraded_nor_held(tmp_path: Path) -> None:
    assert apt(tmp_path, {"dpkg-query": "echo 'ii '"}).returncode == 0
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[-1] == "apt-mark -qq hold kubeadm kubectl kubelet runc"
    (install,) = (line for line in calls if " install " in line)
    assert "containernetworking-plugins" not in install


def test_apt_waits_for_its_locks(tmp_path: Path) -> None:
    """A lock of fcntl(2), as dpkg's: released when the script sleeps for the second time."""
    lock, slept = tmp_path / "lock", tmp_path / "slept"
    command = [sys.executable, "-c", HOLDS, str(lock)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        sleeps = f"[ ! -e {slept} ] || kill {holder.pid}; touch {slept}; /bin/sleep 0.2"
        done = apt(tmp_path, {"sleep": sleeps}, locks=str(lock))
    calls = (tmp_path / "calls").read_text().splitlines()
    assert done.returncode == 0
    assert "waiting for another program" in done.stdout
    assert calls[:2] == ["sleep 2", "sleep 2"]
    assert "dpkg --configure -a" in calls[2:]


def test_without_a_repository_of_its_own_apt_refreshes_all(tmp_path: Path) -> None:
    assert apt(tmp_path, list="").returncode == 0
    assert "sourcelist" not in (tmp_path / "calls").read_text()


def test_a_version_that_apt_lacks_installs_nothing(tmp_path: Path) -> None:
    done = apt(tmp_path, version="1.34.2", pattern="1[.]34[.]2")
    assert done.returncode == 44
    assert done.stderr == ("no kubeadm 1.34.2 in the repository; it has: 1.34.10-1.1 1.34.1-1.1\n")
    assert " install " not in (tmp_path / "calls").read_text()


DNF = """
case $* in
*showduplicates*) echo "$5.x86_64 1.34.1-150500.1.1 here" ;;
*list\\ containerd) exit 1 ;;
*versionlock*) [ -n "$LOCKS" ] || exit 1 ;;
esac
"""


def dnf(
    tmp_path: Path, *, locks: bool = True, installed: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    given = {
        "repository": "ours",
        "own": "yes",
        "runtime": "containerd runc",
        "other_runtime": "containerd.io",
        "held": "containerd runc containerd.io kubernetes-cni containernetworking-plugins",
        "record": f"{tmp_path}/record",
    }
    # containerd.io is not there before, kubernetes-cni is.
    (tmp_path / "record").write_text("kubelet\ncontainerd\ncontainerd.io\n")
    script = "\n".join((
        f"is_installed() {{ case ' kubernetes-cni containerd.io {installed} ' in *\" $1 \"*) ;; "
        "*) return 1 ;; esac; }",
        scripts.load("dnf_hold"),
        scripts.load("install_kubernetes_dnf", "socat", **PINNED | given | variables),
    ))  # fmt: skip
    return run(tmp_path, script, dnf=f"LOCKS={'yes' if locks else ''}\n{DNF}")


def test_dnf_installs_one_version_and_the_runtime_that_there_is(tmp_path: Path) -> None:
    done = dnf(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[0] == (
        "dnf -q -y --disablerepo=* --enablerepo=ours --setopt=ours.skip_if_unavailable=0 "
        "--refresh makecache"
    )
    install = calls.index(
        "dnf -q -y --disableexcludes=ours install socat kubeadm-1.34.1 kubectl-1.34.1 "
        "kubelet-1.34.1 containerd.io"
    )
    assert not [c for c in calls[:install] if "versionlock" in c]
    assert calls[-1] == "dnf -q versionlock add kubeadm kubectl kubelet containerd.io"


def test_dnf_releases_what_it_holds_at_another_version(tmp_path: Path) -> None:
    """It would refuse the wanted one. What is at that version stays held, whatever happens."""
    assert dnf(tmp_path, installed="kubelet kubectl kubectl-1.34.1").returncode == 0
    calls = (tmp_path / "calls").read_text().splitlines()
    install = next(n for n, call in enumerate(calls) if " install " in call)
    assert [c for c in calls[:install] if " delete " in c] == ["dnf -q versionlock delete kubelet"]


def test_without_versionlock_the_operator_reads_what_dnf_may_replace(tmp_path: Path) -> None:
    done = dnf(tmp_path, locks=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "versionlock add" not in (tmp_path / "calls").read_text()
    (note,) = [line for line in done.stdout.splitlines() if line.startswith("note: ")]
    assert note.endswith("dnf versionlock add kubeadm kubectl kubelet containerd.io")


@pytest.mark.parametrize("locks", ["yes", ""])
def test_dnf_holds_the_load_balancer_too(tmp_path: Path, locks: str) -> None:
    script = scripts.load("dnf_hold") + scripts.load("install_packages", "haproxy")
    programs = {"dnf": f"LOCKS={locks}\n{DNF}"}
    done = run(tmp_path, f"command() {{ [ $2 != apt-get ]; }}\n{script}", **programs)
    assert (done.returncode, done.stderr) == (0, "")
    calls = (tmp_path / "calls").read_text().splitlines()
    assert "dnf -q -y install haproxy" in calls
    assert (calls[-1] == "dnf -q versionlock add haproxy") == bool(locks)
    assert done.stdout.startswith("note: ") == (not locks)


def test_a_version_that_dnf_lacks_installs_nothing(tmp_path: Path) -> None:
    done = dnf(tmp_path, version="1.34.2", pattern="1[.]34[.]2")
    assert done.returncode == 44
    assert done.stderr.startswith("no kubeadm 1.34.2 in the repository; it has: 1.34.1-150500.1.1")
    assert " install " not in (tmp_path / "calls").read_text()


def test_files_are_as_before_the_install(tmp_path: Path) -> None:
    backups, folder = tmp_path / "backups", tmp_path / "drop in"
    folder.mkdir()
    names = ("the site's", "not there before", "ours without a backup")
    changed, created, ours = (tmp_path / name for name in names)
    for path in (changed, created, ours):
        path.write_text("# written by Hale\n")
    Path(f"{backups}{tmp_path}").mkdir(parents=True)
    Path(f"{backups}{changed}").write_text("old\n")
    Path(f"{backups}{created}.absent").touch()
    paths = map(str, (changed, created, ours))
    done = run(
        tmp_path,
        scripts.load("restore_files", *paths, backups=str(backups), folder=str(folder)),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert changed.read_text() == "old\n"
    assert not created.exists()
    assert not ours.exists()
    assert not folder.exists()
    assert [p for p in backups.rglob("*") if p.is_file()] == []


def test_files_that_are_kept_survive(tmp_path: Path) -> None:
    kept, there = tmp_path / "kept", tmp_path / "a file"
    key, last = tmp_path / "ca.key", tmp_path / "sa.pub"
    for path in (there, key, last):
        path.write_text(f"{path.name}\n")
    given = {"kept": str(kept), "pki": f"{key} {last}"}
    script = (
        scripts.load("keep_files", str(there), str(tmp_path / "none"), **given)
        + f"(rm -f '{there}' {key} {last})\n"
        + scripts.load("restore_kept_files")
    )
    done = run(tmp_path, script)
    assert (done.returncode, done.stderr) == (0, "")
    assert [p.read_text() for p in (there, key, last)] == ["a file\n", "ca.key\n", "sa.pub\n"]
    assert not kept.exists()
    last.write_text("")  # an init that was interrupted before it had all keys
    done = run(tmp_path, script)
    assert done.returncode == 0
    assert there.exists()
    assert not key.exists()


# In a mount namespace of its own: a volume on the file system of the kubelet's folder, and one
# on another.
VOLUMES = """
mount -t tmpfs tmpfs /var/lib
mkdir -p '/var/lib/kubelet/pods/1/volumes/a b' /var/lib/kubelet/pods/1/etc /var/lib/pv
echo data >/var/lib/pv/file
mount --bind /var/lib/pv '/var/lib/kubelet/pods/1/volumes/a b'
mount -t tmpfs tmpfs /var/lib/kubelet/pods/1/etc
echo data >/var/lib/kubelet/pods/1/etc/file
"""
DELETE = "find /var/lib/kubelet -xdev -mindepth 1 -delete\n"


def in_a_mount_namespace(script: str) -> subprocess.CompletedProcess[str]:
    unshare = ["unshare", "--mount", "--propagation", "private"]
    command = [*unshare, "/bin/sh", "-c", f"set -eu\n{VOLUMES}{script}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")


@needs_root
def test_volumes_are_unmounted_before_the_kubelets_folder_is_emptied() -> None:
    done = in_a_mount_namespace(
        f"({scripts.load('unmount_pods')}{DELETE})\n"
        "cat /var/lib/pv/file; ls -A /var/lib/kubelet; grep -c kubelet /proc/self/mountinfo || :"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "data\n0\n", "")


@needs_root
def test_nothing_is_deleted_while_a_volume_stays_mounted() -> None:
    # In a user namespace the mounts of the one above are locked (mount_namespaces(7)).
    inner = f"set -eu\n{scripts.load('unmount_pods')}{DELETE}"
    done = in_a_mount_namespace(
        "status=0\n"
        f"unshare --user --map-root-user --mount sh -c {shlex.quote(inner)} || status=$?\n"
        "cat /var/lib/pv/file /var/lib/kubelet/pods/1/etc/file; exit $status"
    )
    assert (done.returncode, done.stdout) == (1, "data\ndata\n"), done.stderr
    assert "still mounted, so nothing is deleted" in done.stderr
    assert "\n/var/lib/kubelet/pods/1/volumes/a b\n" in done.stderr


@needs_root
@pytest.mark.parametrize(("locked", "busy"), [("a", True), ("b", False)])
def test_apt_is_busy_while_a_program_holds_this_lock_and_no_other(locked: str, busy: bool) -> None:
    # The first file on a tmpfs has the same inode on each.
    hold = "import fcntl, time; f = open('a/lock', 'w'); fcntl.lockf(f, 2); print(flush=True)"
    done = in_a_mount_namespace(
        "cd /var/lib\n"
        "for d in a b; do mkdir $d; mount -t tmpfs $d $d; touch $d/lock; done\n"
        "stat -c %i a/lock b/lock | uniq | wc -l\n"
        f"{{ {sys.executable} -c {shlex.quote(f'{hold}; time.sleep(20)')} & echo $! >pid; }} | {{\n"
        "read -r _\n"
        f"{scripts.load('apt', locks=f'{locked}/lock')}"
        "apt_is_busy && echo busy || echo free\n"
        "kill $(cat pid)\n"
        "}"
    )
    assert done.stdout == f"1\n{'busy' if busy else 'free'}\n", done.stderr


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


IP_VS = """\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  0A600001:01BB rr
  -> 0AD001BF:192B      Masq    1      0          0
UDP  0A60000A:0035 rr
TCP  0A600009:0050 rr
  -> 0AF40105:1F90      Masq    1      0          0
  -> 0AF40206:1F90      Masq    1      0          0
TCP  0AD001BF:7530 rr
  -> 0AF40206:1F90      Masq    1      0          0
TCP  0AD001BE:7531 wlc
  -> 0AF40206:1F90      Masq    1      0          0
  -> C0A80A07:1F90      Route   1      0          0
TCP  0AD001BE:7532 wlc
TCP  C0A80A05:0050 wlc persistent 300
FWM  00000001 rr
TCP  [fd00:0096:0000:0000:0000:0000:0000:0001]:01BB rr
UDP  [fd00:0096:0000:0000:0000:0000:0000:000a]:0035 rr
TCP  [2001:0db8:0000:0000:0000:0000:0000:0005]:0050 wlc
"""


def test_only_kube_proxys_virtual_servers_are_removed(tmp_path: Path) -> None:
    (tmp_path / "ip_vs").write_text(IP_VS)
    ip = (
        "echo '9: kube-ipvs0    inet 10.96.0.1/32 scope global kube-ipvs0'\n"
        "echo '9: kube-ipvs0    inet 10.96.0.10/32 scope global kube-ipvs0'\n"
        "echo '9: kube-ipvs0    inet 10.96.0.9/32 scope global kube-ipvs0'\n"
        "echo '9: kube-ipvs0    inet6 fd00:96::1/128 scope global'\n"
        "echo '9: kube-ipvs0    inet6 fd00:96::a/128 scope global'"
    )
    done = run(tmp_path, f"ip_vs={tmp_path}/ip_vs\n{leftovers.KUBE_IPVS}kube_ipvs", ip=ip)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "-t 10.96.0.1:443\n-u 10.96.0.10:53\n-t 10.96.0.9:80\n-t 10.208.1.191:30000\n"
        "-t [fd00:0096:0000:0000:0000:0000:0000:0001]:443\n"
        "-u [fd00:0096:0000:0000:0000:0000:0000:000a]:53\n"
    )


def test_without_kube_proxys_interface_nothing_is_its_own(tmp_path: Path) -> None:
    (tmp_path / "ip_vs").write_text(IP_VS)
    done = run(tmp_path, f"ip_vs={tmp_path}/ip_vs\n{leftovers.KUBE_IPVS}kube_ipvs", ip="exit 1")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


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
    found = factories.seen({h.name: nothing for h in site.hosts}, {})
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


# In a network namespace of its own: interfaces of kube-proxy, of a network plugin, and another.
LINKS = """
mount -t sysfs sysfs /sys
for i in kube-ipvs0 cni0 br-site; do ip link add "$i" type bridge; done
ip addr add 10.96.0.1/32 dev kube-ipvs0
"""


@needs_root
@pytest.mark.parametrize(
    ("ipvsadm", "left"), [("exit 1", {"lo", "br-site", "kube-ipvs0"}), (": >{}", {"lo", "br-site"})]
)
def test_kube_proxys_interface_stays_as_long_as_its_virtual_servers(
    tmp_path: Path, ipvsadm: str, left: set[str]
) -> None:
    table = tmp_path / "ip_vs"
    table.write_text(IP_VS)
    script = (
        f"{LINKS}ip_vs={table}\n{leftovers.KUBE_IPVS}"
        + scripts.load("remove_interfaces", interfaces=leftovers.INTERFACES, bridges="")
        + "ls /sys/class/net\n"
    )
    alone = f"unshare --net --mount --propagation private sh -euc {shlex.quote(script)}"
    done = run(tmp_path, alone, ipvsadm=ipvsadm.format(table))
    assert (done.returncode, done.stderr) == (0, "")
    assert set(done.stdout.split()) == left


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


# A host with the packages that are named in `there`.
THERE = 'for n; do :; done; grep -qx "$n" "{0}/there" && echo "ii "'


def packages_host(tmp_path: Path, *there: str) -> tuple[dict[str, str], Path]:
    """Stand-ins for apt, and the record of what Hale has installed."""
    (tmp_path / "there").write_text("".join(f"{name}\n" for name in there))
    programs = {"dpkg-query": THERE.format(tmp_path), "apt-mark": "", "systemctl": ""}
    return programs | {"apt-get": "", "dpkg": ""}, tmp_path / "hale" / "packages"


def test_what_an_installation_adds_is_remembered(tmp_path: Path) -> None:
    programs, record = packages_host(tmp_path, "containerd", "runc")
    names = "containerd runc kubelet kubernetes-cni containernetworking-plugins"
    known = scripts.load("is_installed")
    before = scripts.load("remember_packages", names=names, record=str(record))
    assert run(tmp_path, known + before, **programs).returncode == 0
    assert record.read_text().split() == [
        "kubelet",
        "kubernetes-cni",
        "containernetworking-plugins",
    ]
    (tmp_path / "there").write_text("containerd\nrunc\nkubelet\nkubernetes-cni\n")
    after = scripts.load("prune_packages", record=str(record))
    assert run(tmp_path, known + after, **programs).returncode == 0
    assert record.read_text().split() == ["kubelet", "kubernetes-cni"]
    # A second installation, of what is there by now, adds nothing and forgets nothing.
    again = scripts.load("remember_packages", names=names, record=str(record)) + after
    assert run(tmp_path, known + again, **programs).returncode == 0
    assert record.read_text().split() == ["kubelet", "kubernetes-cni"]


@pytest.mark.parametrize(
    ("recorded", "purged", "stopped"),
    [
        ("kubelet\nkubernetes-cni\nhaproxy\n", "kubelet kubernetes-cni", False),
        ("containerd\nkubelet\n", "kubelet containerd", True),
        ("", "", False),
        (None, "", False),
    ],
)
def test_only_packages_of_hale_are_removed(
    tmp_path: Path, recorded: str | None, purged: str, stopped: bool
) -> None:
    programs, record = packages_host(tmp_path, "kubelet", "containerd", "kubernetes-cni")
    record.parent.mkdir()
    if recorded is not None:
        record.write_text(recorded)
    (tmp_path / "calls").touch()
    script = scripts.load("is_installed") + scripts.load(
        "remove_packages",
        names="kubelet containerd haproxy kubernetes-cni",
        record=str(record),
        repository="hale-of-a-test",
        written=f"{tmp_path}/written",
        keepalived=f"{tmp_path}/keepalived.conf",
    )
    done = run(tmp_path, script, **programs)
    assert done.returncode == 0, done.stderr
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [c.rpartition("purge ")[2] for c in calls if c.startswith("apt-get")] == (
        [purged] if purged else []
    )
    assert any(c.startswith("systemctl") for c in calls) == stopped
    assert ("which packages Hale installed is unknown" in done.stdout) == (recorded is None)
    stay = [n for n in ("kubelet", "containerd", "kubernetes-cni") if n not in (recorded or "")]
    assert (f"note: not in Hale's record, so they stay: {' '.join(stay)}" in done.stdout) == (
        bool(stay)
    )
    assert not record.exists()


@pytest.mark.parametrize(
    ("haproxy", "keepalived", "purged", "removed"),
    [
        ("as packaged\n", "hale's\n", "haproxy keepalived", ""),
        ("hale's\n", None, "haproxy keepalived", ""),
        ("edited\n", "hale's\n", "keepalived", "haproxy"),
        ("as packaged\n", "edited\n", "haproxy", "keepalived"),
        ("edited\n", "edited\n", "", "haproxy keepalived"),
    ],
)
def test_files_that_the_site_has_edited_outlive_their_package(
    tmp_path: Path, haproxy: str, keepalived: str | None, purged: str, removed: str
) -> None:
    programs, record = packages_host(tmp_path, "haproxy", "keepalived")
    record.parent.mkdir()
    record.write_text("haproxy\nkeepalived\n")
    files = {"haproxy.cfg": haproxy, "keepalived.conf": keepalived}
    for name, text in files.items():
        if text is not None:
            (tmp_path / name).write_text(text)
        known = Path(f"{tmp_path}/written{tmp_path}/{name}")
        known.parent.mkdir(parents=True, exist_ok=True)
        known.write_text(hashlib.sha256(b"hale's\n").hexdigest() + "\n")
    md5 = hashlib.md5(b"as packaged\n", usedforsecurity=False).hexdigest()
    programs["dpkg-query"] = (
        f'case "$*" in *Conffiles*haproxy) echo; echo " {tmp_path}/haproxy.cfg {md5}";; '
        f"*Conffiles*) echo;; *) {programs['dpkg-query']};; esac"
    )
    programs["systemctl"] = "exit 3"  # neither runs
    script = scripts.load("is_installed") + scripts.load(
        "remove_packages",
        names="haproxy keepalived",
        record=str(record),
        repository="hale-of-a-test",
        written=f"{tmp_path}/written",
        keepalived=f"{tmp_path}/keepalived.conf",
    )
    done = run(tmp_path, script, **programs)
    assert done.returncode == 0, done.stderr
    calls = (tmp_path / "calls").read_text()
    assert re.findall(r"apt-get .* purge (.*)", calls) == ([purged] if purged else [])
    assert re.findall(r"apt-get .* remove (.*)", calls) == ([removed] if removed else [])
    for name in removed.split():
        assert (
            f"note: {name} is removed, and its files that were edited stay: {tmp_path}/"
            in done.stdout
        )


# `rpm -V` of rpm 4.18: files edited, replaced, removed, of another owner, none of configuration.
VERIFIED = (
    "S.5....T.  c {0}/haproxy.cfg\n..5....T.  c {0}/with a blank.cfg\nmissing   c {0}/gone.cfg\n"
    ".....U...  c {0}/owned.cfg\nS.5....T.    {0}/program\n.M.......  g {0}/ghost.cfg\n"
)


@pytest.mark.parametrize("real", [False, True], ids=["recorded", "rpm"])
def test_files_that_the_site_has_edited_outlive_their_rpm(tmp_path: Path, real: bool) -> None:
    """A file of Hale's goes, and one that another package has by now keeps the saved one beside."""
    if real and not shutil.which("rpmbuild"):
        pytest.skip("no rpmbuild")
    edited, hales, packaged, replaced = (
        tmp_path / name for name in ("haproxy.cfg", "with a blank.cfg", "same.cfg", "again.cfg")
    )
    record = tmp_path / "record"
    record.write_text("haproxy\n")
    known = Path(f"{tmp_path}/written{hales}")
    known.parent.mkdir(parents=True)
    known.write_text(hashlib.sha256(b"hale's\n").hexdigest() + "\n")
    files = [edited, hales, packaged, replaced]
    if real:
        rpm = f'exec /usr/bin/rpm --dbpath {tmp_path}/db "$@"'
        remove = f"/usr/bin/rpm --dbpath {tmp_path}/db -e haproxy"
        install_rpm(tmp_path, "haproxy", files)
    else:
        listed = f"{VERIFIED.format(tmp_path)}S.5....T.  c {replaced}\n"
        rpm = f"[ $1 != -V ] || {{ printf '%s' '{listed}'; exit 1; }}"
        remove = f'for f in {edited} \'{hales}\' {replaced}; do mv "$f" "$f.rpmsave"; done'
        remove += f"; rm {packaged}"
        packaged.write_text("as packaged\n")
    edited.write_text("edited\n")
    hales.write_text("hale's\n")
    replaced.write_text("edited too\n")
    dnf = f'case "$*" in *" remove "*) {remove}; echo other >{replaced};; *) exit 1;; esac'
    parts = [scripts.load(name) for name in ("is_installed", "dnf_hold")]
    values = {"names": "haproxy", "record": str(record), "repository": "ours"}
    parts.append(
        scripts.load("remove_packages", **values, written=f"{tmp_path}/written", keepalived="x")
    )
    script = "\n".join(["command() { [ $2 != apt-get ]; }", *parts])
    done = run(tmp_path, script, rpm=rpm, dnf=dnf, systemctl="exit 3")
    assert done.returncode == 0, done.stderr
    found = {path.name: path.read_text() for path in tmp_path.glob("*.cfg*")}
    assert found == {
        "haproxy.cfg": "edited\n",
        "again.cfg": "other\n",
        "again.cfg.rpmsave": "edited too\n",
    }
    note = "note: haproxy is removed, and its files that were edited stay: "
    assert sorted(line for line in done.stdout.splitlines() if line.startswith("note")) == [
        f"{note}{replaced}.rpmsave",
        f"{note}{edited}",
    ]


def install_rpm(folder: Path, name: str, files: Sequence[Path]) -> None:
    """Build a package with these configuration files, and install it beside them."""
    listed = "\n".join(f'%config(noreplace) "{path}"' for path in files)
    made = "\n".join(f'echo as packaged >"%{{buildroot}}{path}"' for path in files)
    spec = folder / f"{name}.spec"
    spec.write_text(
        f"Name: {name}\nVersion: 1\nRelease: 1\nSummary: x\nLicense: x\nBuildArch: noarch\n"
        "AutoReqProv: no\n%description\nx\n%install\n"
        f"mkdir -p %{{buildroot}}{folder}\n{made}\n%files\n{listed}\n"
    )
    top = ("--define", f"_topdir {folder}/build", "--dbpath", str(folder / "db"))
    for command in (
        ["rpmbuild", "-bb", "--quiet", *top, str(spec)],
        ["rpm", "--dbpath", str(folder / "db"), "--initdb"],
        ["rpm", "--dbpath", str(folder / "db"), "-i", "--nodeps", "--nosignature",
         f"{folder}/build/RPMS/noarch/{name}-1-1.noarch.rpm"],
    ):  # fmt: skip
        subprocess.run(command, check=True, capture_output=True)


def test_a_dead_hosts_pods_do_not_take_the_timeout_of_its_drain(tmp_path: Path) -> None:
    """kubectl counts from a pod's DeletionTimestamp: the end of its grace period."""
    script = scripts.load(
        "drain_node", "kubectl", node="w1", timeout=f"{reset.DRAIN_TIMEOUT}", more=""
    )
    assert run(tmp_path, script, kubectl='case $1 in get) printf "w1 " ;; esac').returncode == 0
    found = re.search(r"--skip-wait-for-delete-timeout=(\d+)", (tmp_path / "calls").read_text())
    assert found is not None
    assert reset.GRACE + int(found[1]) <= reset.DRAIN_TIMEOUT - 30


@pytest.mark.parametrize(
    ("node", "drains", "status", "uncordoned"),
    [("w1 ", 0, 0, False), ("w1 ", 1, 1, True), ("w1 true", 1, 1, False), ("", 1, 0, False)],
)
def test_a_node_that_is_not_drained_stays(
    tmp_path: Path, node: str, drains: int, status: int, uncordoned: bool
) -> None:
    kubectl = f'case $1 in get) printf "%s" "{node}" ;; drain) exit {drains} ;; esac'
    script = scripts.load(
        "drain_node", "kubectl", node="w1", timeout="9", more="--disable-eviction"
    )
    done = run(tmp_path, script, kubectl=kubectl)
    assert done.returncode == status
    calls = (tmp_path / "calls").read_text()
    assert ("kubectl uncordon w1" in calls) == uncordoned
    assert ("--timeout=9s" in calls and "--disable-eviction" in calls) == bool(node)
    assert ("w1 was not drained, so it stays in the cluster" in done.stderr) == (status == 1)
    assert ("w1 was cordoned before, and stays so" in done.stderr) == (
        status == 1 and "true" in node
    )


@pytest.mark.parametrize(
    ("haproxy", "keepalived", "stopped", "restored"),
    [
        ("ours\n", "ours\n", ["keepalived", "haproxy"], "vip-is-removed keepalived haproxy"),
        ("ours\nlisten site\n", "ours\n", ["keepalived"], "vip-is-removed keepalived"),
        ("ours\n", "site's\n", ["haproxy"], "haproxy"),
        ("site's\n", "site's\n", [], ""),
        ("# written by Hale\n", None, ["haproxy"], "vip-is-removed keepalived haproxy"),
    ],
)
def test_a_load_balancer_of_the_site_keeps_running(
    tmp_path: Path, haproxy: str, keepalived: str | None, stopped: list[str], restored: str
) -> None:
    written = tmp_path / "written"
    for name, content in (("haproxy", haproxy), ("keepalived", keepalived)):
        path = tmp_path / name
        if content is not None:
            path.write_text(content)
        if content is not None and "written by" not in content:
            record = Path(f"{written}{path}")
            record.parent.mkdir(parents=True, exist_ok=True)
            record.write_text(hashlib.sha256(b"ours\n").hexdigest() + "\n")
    (tmp_path / "calls").touch()
    script = scripts.load(
        "stop_load_balancer",
        vip="10.0.0.100",
        written=str(written),
        haproxy=f"{tmp_path}/haproxy {tmp_path}/more",
        keepalived=str(tmp_path / "keepalived"),
    )
    running = keepalived == "site's\n"
    done = run(
        tmp_path,
        script + "echo $*\n",
        systemctl=f'[ "$2" != is-active ] || exit {0 if running else 3}',
        ip='[ "$1" != -o ] || echo "2: eth0    inet 10.0.0.100/32 scope global eth0"',
    )
    assert done.returncode == 0, done.stderr
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [c.split()[-1] for c in calls if " disable --now " in c] == stopped
    removed = "ip addr del 10.0.0.100/32 dev eth0" in calls
    files = " ".join(Path(p).name for p in done.stdout.split() if not p.endswith("/more"))
    assert " ".join([*["vip-is-removed"] * removed, files]).strip() == restored


def test_a_load_balancer_that_runs_keeps_its_package(tmp_path: Path) -> None:
    programs, record = packages_host(tmp_path, "haproxy", "keepalived")
    record.parent.mkdir()
    record.write_text("haproxy\nkeepalived\n")
    programs["systemctl"] = '[ "$3" = haproxy ]'
    script = scripts.load("is_installed") + scripts.load(
        "remove_packages",
        names="haproxy keepalived",
        record=str(record),
        repository="hale-of-a-test",
    )
    done = run(tmp_path, script, **programs)
    assert done.returncode == 0, done.stderr
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [c.rpartition("purge ")[2] for c in calls if c.startswith("apt-get")] == ["keepalived"]


def test_dnf_holds_no_package_that_is_removed(tmp_path: Path) -> None:
    """A lock that stayed would refuse another version at the next install."""
    record = tmp_path / "record"
    record.write_text("kubelet\nhaproxy\n")
    values = {"names": "kubelet kubectl", "record": str(record), "repository": "ours"}
    parts = [scripts.load(name) for name in ("is_installed", "dnf_hold")]
    parts.append(scripts.load("remove_packages", **values))
    script = "\n".join(["command() { [ $2 != apt-get ]; }", *parts])
    done = run(tmp_path, script, rpm="", dnf=f"LOCKS=yes\n{DNF}")
    assert done.returncode == 0, done.stderr
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [c for c in calls if c.startswith("dnf")][-2:] == [
        "dnf -q versionlock delete kubelet",
        "dnf -q -y --disableexcludes=ours remove kubelet",
    ]


def test_packages_that_others_need_stay(tmp_path: Path) -> None:
    programs, record = packages_host(tmp_path, "containerd.io")
    record.parent.mkdir()
    record.write_text("containerd.io\n")
    programs["dpkg"] = "echo docker-ce depends on containerd.io >&2; exit 1"
    programs["apt-mark"] = '[ "$1" != showhold ] || echo containerd.io'
    script = scripts.load("is_installed") + scripts.load(
        "remove_packages", names="containerd.io", record=str(record), repository="hale-of-a-test"
    )
    done = run(tmp_path, script, **programs)
    assert done.returncode == 1
    assert "docker-ce depends on containerd.io" in done.stderr
    assert "so no package was removed" in done.stderr
    calls = (tmp_path / "calls").read_text()
    assert "purge" not in calls.replace("--simulate --purge", "")
    assert "systemctl" not in calls
    marks = [c for c in calls.splitlines() if c.startswith("apt-mark")]
    assert marks[-1] == "apt-mark -qq hold containerd.io", "as they were"
    assert record.exists()

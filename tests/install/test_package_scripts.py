"""The shell scripts of packages, run here with stand-ins for apt, dnf and dpkg."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from remediate.cluster import scripts
from tests.install.script_host import DNF, in_a_mount_namespace, needs_root, run

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

"""What a reset removes of the packages, and what stays, with stand-ins for apt, dnf and dpkg."""

import hashlib
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from remediate.cluster import scripts
from tests.install.script_host import DNF, run

# A host with the packages that are named in `there`.
THERE = 'for n; do :; done; grep -qx "$n" "{0}/there" && echo "ii "'


def packages_host(tmp_path: Path, *there: str) -> tuple[dict[str, str], Path]:
    """Stand-ins for apt, and the record of what Hale has installed."""
    (tmp_path / "there").write_text("".join(f"{name}\n" for name in there))
    programs = {"dpkg-query": THERE.format(tmp_path), "apt-mark": "", "systemctl": ""}
    return programs | {"apt-get": "", "dpkg": ""}, tmp_path / "hale" / "packages"


def removal(tmp_path: Path, record: Path, names: str) -> str:
    """The script that removes those of these packages that Hale has installed."""
    return scripts.load("is_installed") + scripts.load(
        "remove_packages",
        names=names,
        record=str(record),
        repository="hale-of-a-test",
        written=f"{tmp_path}/written",
        keepalived=f"{tmp_path}/keepalived.conf",
    )


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
    script = removal(tmp_path, record, "kubelet containerd haproxy kubernetes-cni")
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
    done = run(tmp_path, removal(tmp_path, record, "haproxy keepalived"), **programs)
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

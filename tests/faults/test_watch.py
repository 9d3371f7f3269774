"""An audit writes nothing on a host but what a login leaves by itself."""

import hashlib
import os
import re
import stat
from pathlib import Path

import pytest

from lab.machine import LabHost
from tests.faults.conftest import Compliant

pytestmark = pytest.mark.lab

# What sshd(8), pam_lastlog(8), pam_motd(8), pam_systemd(8) with systemd-logind, and journald
# record of anybody who logs in.
LOGIN = (
    r"/var/log/(lastlog|wtmp|btmp)",
    r"/run/utmp",
    r"/run/motd\.dynamic(\.new)?",
    r"/run",  # the folder's own time, when the one above is renamed
    r"/(var|run)/log/journal(/.*)?",
    r"/run/systemd/journal(/streams(/.*)?)?",
    r"/run/systemd/(sessions|users|seats|inhibit)(/.*)?",
    r"/run/systemd/transient(/(session-\d+|user-\d+).*)?",
    r"/run/systemd/units(/.*)?",
    r"/run/systemd(/propagate.*)?",
    r"/run/user(/.*)?",
    # pam_systemd starts the user's own manager, which makes its keys of D-Bus and its lock
    r"/run/dbus(/.*)?",
)

Listing = dict[str, tuple[object, ...]]


def on_disk(host: LabHost) -> Listing:
    """All that differs from the shared image, deletions too: the overlay's upper layer."""
    upper = host.folder / "upper"
    found: Listing = {}
    for folder, names, files in os.walk(upper):
        for name in (*names, *files):
            path = Path(folder, name)
            found[f"/{path.relative_to(upper)}"] = _looks(path)
    return found


def _looks(path: Path) -> tuple[object, ...]:
    try:
        observed = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
    except FileNotFoundError:  # gone since it was listed, by the host's own work
        return ()
    link = str(path.readlink()) if stat.S_ISLNK(observed.st_mode) else ""
    return (
        observed.st_mode, observed.st_uid, observed.st_gid, observed.st_size,
        observed.st_mtime_ns, observed.st_ctime_ns, link, content,
    )  # fmt: skip


def in_memory(host: LabHost) -> Listing:
    """What is in /run, /tmp and /dev/shm, with checksums; the kernel's own are not files."""
    script = r"""
    find /run /tmp /dev/shm -xdev -printf '%p|%M %U %G %s %T@ %C@ %l\n' 2>/dev/null
    find /run /tmp /dev/shm -xdev -type f -print0 2>/dev/null | xargs -0 sha256sum 2>/dev/null
    true"""
    found: dict[str, tuple[object, ...]] = {}
    for line in host.run(script).stdout.decode(errors="replace").splitlines():
        path, bar, looks = line.partition("|")
        if bar:
            found[path] = (looks,)
        else:
            digest, _, name = line.partition("  ")
            found[name] = (*found.get(name, ()), digest)
    return found


def changed(before: Listing, after: Listing) -> list[str]:
    """Paths that came, went or look different, but for those of a login."""
    paths = sorted(p for p in before.keys() | after.keys() if before.get(p) != after.get(p))
    return [p for p in paths if not any(re.fullmatch(pattern, p) for pattern in LOGIN)]


# A master, who is asked for etcd; the worker that has firewalld.
@pytest.mark.parametrize("name", ["k8s-master-02", "k8s-node-02"])
def test_an_audit_writes_nothing(name: str, compliant: Compliant) -> None:
    host = compliant.lab[name]
    compliant.typed()  # what a first login makes once is there by now
    before = on_disk(host), in_memory(host)
    compliant.typed()
    after = on_disk(host), in_memory(host)
    assert changed(before[0], after[0]) == []
    assert changed(before[1], after[1]) == []


@pytest.mark.parametrize(
    "path", ["/etc/hale", "/tmp/hale", "/run/hale", "/root/.bash_history", "/var/lib/x/y"]
)
def test_the_watch_sees_what_is_written(path: str, compliant: Compliant) -> None:
    host = compliant.lab["k8s-node-02"]
    before = {**on_disk(host), **in_memory(host)}
    host.run(f"mkdir -p $(dirname {path}) && echo x >{path}")
    try:
        observed = changed(before, {**on_disk(host), **in_memory(host)})
    finally:
        host.run(f"rm -rf {path} /var/lib/x")
    assert path in observed


def test_the_watch_sees_a_mode_and_a_deletion(compliant: Compliant) -> None:
    host = compliant.lab["k8s-node-02"]
    before = on_disk(host)
    host.run("chmod 600 /etc/fstab && mv /usr/bin/wall /usr/bin/wall.off")
    try:
        observed = changed(before, on_disk(host))
    finally:
        host.run("chmod 644 /etc/fstab && mv /usr/bin/wall.off /usr/bin/wall")
    assert {"/etc/fstab", "/usr/bin/wall"} <= set(observed)

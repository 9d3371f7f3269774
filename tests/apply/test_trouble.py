"""Hosts that cannot or must not be written as usual, and runs that are stopped half-way."""

import json
import shlex
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hale.plan import plan
from lab.machine import LabHost
from tests.apply.invoke_cli import PATIENCE, Operator

pytestmark = pytest.mark.lab
HOST = "k8s-node-01"
FILE = "/etc/sysctl.d/zz-site.conf"
LINE = "net.ipv4.ip_forward=0\n"
FORWARD = ("--only=SYS-IP-FORWARD", f"--hosts={HOST}")
BOTH = ("--only=SYS-IP-FORWARD,SWAP-OFF", f"--hosts={HOST}")
APPLY = ("--apply", "--yes")


@contextmanager
def with_it(host: LabHost, does: str, undoes: str) -> Iterator[None]:
    """A host with something done to it."""
    host.run(f"set -e; {does}")
    try:
        yield
    finally:
        host.run(f"set -e; {undoes}")


@pytest.fixture
def host(operator: Operator) -> Iterator[LabHost]:
    """A host with a line against forwarding, in a file of the site's own."""
    found = operator.ready.lab[HOST]
    with with_it(found, f"echo {LINE.strip()} >{FILE}", f"rm -f {FILE}"):
        yield found


def state(host: LabHost, path: str = FILE) -> str:
    """Bytes, mode, owner, time, attributes and ACL of a file."""
    quoted = shlex.quote(path)
    script = (
        "import os, sys; p = sys.argv[1]; s = os.stat(p); "
        "print(oct(s.st_mode), s.st_uid, s.st_gid, s.st_mtime_ns, "
        "sorted((n, os.getxattr(p, n)) for n in os.listxattr(p)))"
    )
    return host.run(f"cat {quoted}; python3 -c {shlex.quote(script)} {quoted}").stdout.decode()


def journal(operator: Operator) -> list[dict[str, Any]]:
    lines = (operator.last / "journal.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


# --- files that are no plain ones, or must not be written ---

TROUBLE = {
    "immutable": (f"chattr +i {FILE}", f"chattr -i {FILE}", "chattr -i -a"),
    "append-only": (f"chattr +a {FILE}", f"chattr -a {FILE}", "chattr -i -a"),
    "read-only file system": (
        "mount --bind /etc/sysctl.d /etc/sysctl.d; mount -o remount,bind,ro /etc/sysctl.d",
        "umount /etc/sysctl.d",
        "Read-only file system",
    ),
    "mounted by itself": (f"mount --bind {FILE} {FILE}", f"umount {FILE}", "findmnt"),
    "disk full": (
        "mkdir /run/small; mount -t tmpfs -o size=16k none /run/small;"
        " cp -a /etc/sysctl.d/. /run/small/; mount --bind /run/small /etc/sysctl.d;"
        " ! head -c 100000 /dev/zero >/etc/sysctl.d/fill 2>/dev/null",
        "umount /etc/sysctl.d /run/small; rmdir /run/small",
        "make room",
    ),
    "no room for originals": (
        "mkdir -p /var/lib/hale; mount -t tmpfs -o size=8k,mode=700 none /var/lib/hale;"
        " ! head -c 100000 /dev/zero >/var/lib/hale/fill 2>/dev/null;"
        " truncate -s 4096 /var/lib/hale/fill",
        "umount /var/lib/hale",
        "make room",
    ),
}


NOT_FOUND_BY_A_BOOT = ("read-only file system", "mounted by itself", "disk full")
NOT_PLANNED = "a plan that is made now does not have this step. Plan again"


@pytest.mark.parametrize("kind", TROUBLE)
def test_a_file_that_cannot_be_written_is_reported_and_unchanged(
    operator: Operator, host: LabHost, kind: str, tmp_path: Path
) -> None:
    """The plan is made before. Where a boot would not find these files, an audit refuses its step;
    without one between, as where the trouble begins after it, the write itself fails."""
    does, undoes, hint = TROUBLE[kind]
    host.run("sysctl -qw net.ipv4.ip_forward=1")
    saved = tmp_path / "fix.json"
    status, output = operator.type("fix", *FORWARD, f"--out={saved}")
    assert status == 0, output
    with with_it(host, does, undoes):
        before = state(host)
        made = plan.load_plan(saved)
        history, run = operator.ready.apply(made)
        (number,) = (
            n for n, step in enumerate(made.hosts[0].steps, 1) if FILE in step.change.describe()
        )
        assert (HOST, number) not in history.done
        assert hint in run.failed[HOST]
        assert state(host) == before
        status, output = operator.type("fix", f"--plan={saved}", *APPLY)
        assert status == 1
        assert (NOT_PLANNED if kind in NOT_FOUND_BY_A_BOOT else hint) in output, output
        assert state(host) == before
        assert host.run("ls -A /etc/sysctl.d | grep hale || true").stdout == b""
        assert "lock" not in host.run("ls /var/lib/hale").stdout.decode().split()
    status, output = operator.type("fix", *FORWARD, *APPLY)
    assert status == 0, f"once that is over it goes: {output}"


def test_mode_owner_acl_and_attributes_stay_and_a_link_is_followed(
    operator: Operator, host: LabHost
) -> None:
    """A file behind a link, with everything that a file can have besides its bytes."""
    real = "/etc/site-sysctl"
    script = (
        "import os; p = '/etc/site-sysctl'; os.chown(p, 1000, 6); os.chmod(p, 0o640); "
        "os.setxattr(p, 'user.site', b'kept'); os.setxattr(p, 'trusted.site', b'too')"
    )
    with with_it(
        host,
        f"mv {FILE} {real}; ln -s ../site-sysctl {FILE}; python3 -c {shlex.quote(script)};"
        f" ! command -v setfacl >/dev/null || setfacl -m u:1001:r {real};"
        f" touch -d 2020-02-02 {real}",
        f"rm -f {real}",
    ):
        before = state(host, real)
        assert "b'kept'" in before
        status, output = operator.type("fix", *FORWARD, *APPLY)
        assert status == 0, output
        after = state(host, real)
        assert "# commented by Hale: net.ipv4.ip_forward=0" in after
        for part in ("0o100640", " 1000 6 ", "('user.site', b'kept')", "('trusted.site', b'too')"):
            assert part in before
            assert part in after
        acls = [text.count("posix_acl") for text in (before, after)]
        assert acls[0] == acls[1]
        assert host.run(f"readlink {FILE}").stdout == b"../site-sysctl\n"
        status, output = operator.type("undo", operator.last.name, "--yes")
        assert status == 0, output
        assert state(host, real) == before
        assert host.run(f"readlink {FILE}").stdout == b"../site-sysctl\n"


# --- values that the kernel changes along ---


@pytest.mark.parametrize("redirects", ["0", "1"])
def test_values_that_forwarding_resets_are_restored(
    operator: Operator, host: LabHost, redirects: str
) -> None:
    """The kernel makes conf.all.accept_redirects the contrary of forwarding (devinet.c)."""
    folder = "/proc/sys/net/ipv4/conf"
    look = f"grep -H . {folder}/*/accept_redirects"
    host.run(
        f"echo 0 >/proc/sys/net/ipv4/ip_forward;"
        f" for i in all default eth0; do echo {redirects} >{folder}/$i/accept_redirects; done"
    )
    before = host.run(look).stdout
    status, output = operator.type("fix", *FORWARD, *APPLY)
    assert status == 0, output
    assert host.run("cat /proc/sys/net/ipv4/ip_forward").stdout == b"1\n"
    assert host.run(look).stdout == before
    status, output = operator.type("undo", operator.last.name, "--yes")
    assert status == 0, output
    assert host.run("cat /proc/sys/net/ipv4/ip_forward").stdout == b"0\n"
    assert host.run(look).stdout == before
    host.run("echo 1 >/proc/sys/net/ipv4/ip_forward")
    changed = host.run(look).stdout != before
    assert changed == (redirects == "1"), "without help the kernel does change them"


def test_interfaces_that_forwarded_by_themselves_do_so_again_after_the_undo(
    operator: Operator, host: LabHost
) -> None:
    """Writing ip_forward sets forwarding of every interface (devinet.c)."""
    folder = "/proc/sys/net/ipv4/conf"
    look = f"grep -H . {folder}/*/forwarding"
    host.run(f"echo 0 >/proc/sys/net/ipv4/ip_forward; echo 1 >{folder}/eth0/forwarding")
    before = host.run(look).stdout
    status, output = operator.type("fix", *FORWARD, *APPLY)
    assert status == 0, output
    assert b":0" not in host.run(look).stdout, "a host that forwards does it everywhere"
    host.run(f"echo 0 >{folder}/lo/forwarding")
    between = host.run(look).stdout
    status, output = operator.type("undo", operator.last.name, "--yes")
    assert status == 0, output
    assert host.run(look).stdout == before
    status, output = operator.type("undo", operator.last.name, "--yes")
    assert status == 0, output
    assert host.run(look).stdout == between
    status, output = operator.type("undo", operator.last.name, "--yes")
    assert status == 0, output
    assert host.run(look).stdout == before
    host.run("echo 1 >/proc/sys/net/ipv4/ip_forward")


# --- without root's login ---


def test_through_sudo_where_root_may_not_log_in(
    operator: Operator, host: LabHost, tmp_path: Path
) -> None:
    user = "hale-operator"
    # After a restart sshd listens (Type=notify); a reload returns before it does again.
    made = (
        f"useradd -m -s /bin/bash {user}; install -d -o {user} -m 700 /home/{user}/.ssh;"
        f" install -o {user} -m 600 /root/.ssh/authorized_keys /home/{user}/.ssh/;"
        f" echo '{user} ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/{user};"
        " echo 'PermitRootLogin no' >/etc/ssh/sshd_config.d/00-site.conf; systemctl restart ssh"
    )
    gone = (
        f"pkill -KILL -u {user} || true; rm -f /etc/sudoers.d/{user}"
        " /etc/ssh/sshd_config.d/00-site.conf; systemctl restart ssh;"
        f" userdel -r {user} 2>/dev/null || true"
    )
    text = operator.ready.inventory.read_text()
    line = next(line for line in text.splitlines() if line.startswith(HOST))
    (tmp_path / "user.ini").write_text(text.replace(line, f"{line} ansible_user={user}"))
    with_sudo = tmp_path / "sudo.ini"
    with_sudo.write_text(text.replace(line, f"{line} ansible_user={user} ansible_become=true"))
    with with_it(host, made, gone):
        before = state(host)
        status, output = operator.type("fix", *FORWARD, *APPLY)
        assert status == 1
        assert "Permission denied" in output
        status, output = operator.type("fix", *FORWARD, *APPLY, inventory=tmp_path / "user.ini")
        assert status == 1
        assert "changes need root: put ansible_become=true into the inventory" in output
        assert state(host) == before
        status, output = operator.type("fix", *FORWARD, *APPLY, inventory=with_sudo)
        assert status == 0, output
        assert "commented by Hale" in state(host)
        assert host.run("stat -c '%U %a' /var/lib/hale/runs").stdout == b"root 700\n"
        status, output = operator.type("undo", operator.last.name, "--yes")
        assert status == 0, output
        assert state(host) == before


# --- stopped half-way ---

_HELD = """\
touch /root/hold
cp -p /usr/bin/sha256sum /root/sha256sum
cat >/usr/bin/sha256sum.new <<'EOF'
#!/bin/sh
while [ -e /root/hold ]{condition}; do sleep 0.1; done
exec /root/sha256sum "$@"
EOF
chmod +x /usr/bin/sha256sum.new; mv /usr/bin/sha256sum.new /usr/bin/sha256sum
"""
# What saves originals waits; or every step but the first of a run.
HELD_AT_ONCE = _HELD.format(condition="")
HELD_AFTER_A_STEP = _HELD.format(condition=" && ls /var/lib/hale/runs/*/*/done >/dev/null 2>&1")
GO_ON = "rm -f /root/hold"
NOT_HELD = f"{GO_ON}; mv /root/sha256sum /usr/bin/sha256sum"
_SLOW = """\
cp -p /usr/bin/sha256sum /root/sha256sum
cat >/usr/bin/sha256sum.new <<'EOF'
#!/bin/sh
sleep 1
exec /root/sha256sum "$@"
EOF
chmod +x /usr/bin/sha256sum.new; mv /usr/bin/sha256sum.new /usr/bin/sha256sum
"""
_QUICK = "mv /root/sha256sum /usr/bin/sha256sum"
SWAP = "cp -p /etc/fstab /root/fstab; echo '/dev/sdb1 none swap sw 0 0' >>/etc/fstab"
NO_SWAP = "cp -p /root/fstab /etc/fstab; systemctl daemon-reload"


def test_progress_is_shown_and_ctrl_c_ends_after_the_step(
    operator: Operator, host: LabHost
) -> None:
    with with_it(host, SWAP, NO_SWAP), with_it(host, HELD_AFTER_A_STEP, NOT_HELD):
        before = state(host), state(host, "/etc/fstab")
        process = operator.start("fix", *BOTH, *APPLY)
        assert process.stdout
        output = ""
        for line in process.stdout:
            output += line
            if "1/" in line and f"{HOST}: " in line:
                break
        assert process.poll() is None, f"a step is told while the run goes on: {output}"
        process.send_signal(signal.SIGINT)
        for line in process.stdout:
            output += line
            if "stopping after the steps that are running" in line:
                break
        host.run(GO_ON)
        rest, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 130, output + rest
        assert "stopping after the steps that are running" in output
        entries = journal(operator)
        begun = [e["number"] for e in entries if e["type"] == "begin"]
        # What systemd has to read anew is done last.
        assert begun == sorted(e["number"] for e in entries if e["type"] == "done")
        assert entries[-1]["state"] == "interrupted"
        assert "lock" not in host.run("ls /var/lib/hale").stdout.decode().split()
        status, output = operator.type("runs")
        assert status == 0
        assert "interrupted" in output
        status, output = operator.type("undo", operator.last.name, "--yes")
        assert status == 0, output
        assert (state(host), state(host, "/etc/fstab")) == before


MASTERS = ("k8s-master-01", "k8s-master-02", "k8s-master-03")


@pytest.fixture
def group(operator: Operator, host: LabHost) -> Iterator[list[LabHost]]:
    """Three masters with two files to mend: the first of them cannot be written, the others do not
    go on; and a worker."""
    masters = [operator.ready.lab[name] for name in MASTERS]
    for one in masters:
        one.run(f"echo {LINE.strip()} >{FILE}; {SWAP}")
    masters[0].run("chattr +i /etc/fstab")
    for one in masters[1:]:
        one.run(HELD_AT_ONCE)
    yield masters
    masters[0].run("chattr -i /etc/fstab")
    for one in masters[1:]:
        one.run(NOT_HELD)
    for one in masters:
        one.run(f"rm -f {FILE}; {NO_SWAP}")


@pytest.mark.parametrize(("allowed", "stopped"), [(1, True), (2, False)])
def test_a_failed_host_stops_its_group_alone(
    operator: Operator, group: list[LabHost], host: LabHost, allowed: int, stopped: bool
) -> None:
    hosts = f"--hosts={','.join([*MASTERS, HOST])}"
    only = "--only=SYS-IP-FORWARD,SWAP-OFF"
    process = operator.start("fix", only, hosts, *APPLY, f"--max-fail={allowed}")
    until = time.monotonic() + PATIENCE
    while f'"host":"{MASTERS[0]}","state":"failed"'.encode() not in _journals(operator):
        assert time.monotonic() < until, _journals(operator)
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)
    for one in group[1:]:
        one.run(GO_ON)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "failed:" in output, output
    ends = {e["host"]: e["state"] for e in journal(operator) if e["type"] == "host"}
    assert ends[MASTERS[0]] == "failed"
    assert ends[HOST] == "done", "another group goes on"
    assert {ends[name] for name in MASTERS[1:]} == {"stopped" if stopped else "done"}
    assert ("of the same group failed (--max-fail=1)" in output) == stopped
    assert "commented by Hale" in state(host)
    status, output = operator.type("undo", operator.last.name, "--yes")
    assert status == 0, output
    for one in (*group, host):
        assert state(one).startswith(LINE)


def test_a_run_that_is_killed_is_settled_by_the_next(operator: Operator, host: LabHost) -> None:
    """kill -9 as an operator meets it: the lock is explained, and the next fix goes on."""
    with with_it(host, SWAP, NO_SWAP), with_it(host, _SLOW, _QUICK):
        process = operator.start("fix", *BOTH, *APPLY)
        until = time.monotonic() + PATIENCE
        while b'"begin"' not in _journals(operator):
            assert time.monotonic() < until
            assert process.poll() is None
            time.sleep(0.05)
        process.kill()
        process.communicate()
        killed = operator.last.name
        status, output = operator.type_until("the lock is stale", "fix", *BOTH, *APPLY)
        assert status == 1
        assert "the lock is stale" in output
        assert killed in output
        status, output = operator.type("fix", *BOTH, *APPLY, "--force-unlock")
        assert status == 0, output
        assert f"{killed}, step " in output
        for run in sorted((p.parent.name for p in _paths(operator)), reverse=True):
            status, output = operator.type("undo", run, "--yes")
            assert status == 0, output
        assert state(host).startswith(LINE)


def _paths(operator: Operator) -> list[Path]:
    return list(operator.reports.glob("*/journal.jsonl"))


def _journals(operator: Operator) -> bytes:
    return b"".join(path.read_bytes() for path in _paths(operator))

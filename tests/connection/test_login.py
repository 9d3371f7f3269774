"""Logins on a real host: users, shells, sudo, and what they do wrong."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hale.ssh import BecomeFailed, HostUnreachable
from lab.machine import Lab

from .conftest import Connect
from .lab_users import HOST, PASSWORD

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parents[2]


def to(lab: Lab, user: str, **how: object) -> dict[str, object]:
    return {"name": HOST, "user": user, "ssh_config": str(lab.ssh_config), **how}


def test_tells_who_and_with_which_key(users: Lab, connect: Connect) -> None:
    host = connect(**to(users, "hale-sudo", become=True))
    assert host.host_key is None
    host.run("true")
    assert (host.login_user, host.effective_user) == ("hale-sudo", "root")
    public = users[HOST].root / "etc/ssh/ssh_host_ed25519_key.pub"
    _, fingerprint, *_ = subprocess.check_output(["ssh-keygen", "-lf", public]).decode().split()
    assert host.host_key == f"ssh-ed25519 {fingerprint}"


def test_an_accepted_key_is_not_a_verified_one(
    users: Lab, connect: Connect, tmp_path: Path
) -> None:
    options = "-o", "StrictHostKeyChecking=accept-new", "-o", f"UserKnownHostsFile={tmp_path}/k"
    host = connect(**to(users, "root", ssh_args=options))
    assert host.run("true").exit_status == 0
    assert host.host_key is None


@pytest.mark.parametrize(
    ("user", "how"),
    [
        ("hale-sudo", {}),
        ("hale-fish", {}),
        ("hale-noisy", {}),
        ("hale-pty", {}),
        ("root", {}),
        ("hale-asked", {"become_password": PASSWORD}),
        # sudo does not ask for it here: it must not become a command.
        ("hale-sudo", {"become_password": "echo unneeded"}),
        ("hale-pty", {"become_password": "echo unneeded"}),
    ],
)
def test_sudo(users: Lab, connect: Connect, user: str, how: dict[str, str]) -> None:
    host = connect(**to(users, user, become=True, **how))
    done = host.run("id -un; echo $HOME $0; cat; echo e >&2; exit 255")
    assert (done.stdout, done.stderr) == (b"root\n/root /bin/sh\n", b"e\n")
    assert done.exit_status == 255
    assert len(host.run("seq 1 200000").stdout) == 1288895
    assert host.attempts == 1


def test_sudo_to_another_user(users: Lab, connect: Connect) -> None:
    host = connect(**to(users, "hale-sudo", become=True, become_user="hale-dash"))
    assert host.run("id -un; echo $HOME").stdout == b"hale-dash\n/home/hale-dash\n"
    assert host.effective_user == "hale-dash"


@pytest.mark.parametrize(
    ("user", "how", "words"),
    [
        ("hale-asked", {}, "a password is required.*NOPASSWD"),
        ("hale-asked", {"become_password": "wrong"}, "incorrect password"),
        ("hale-tty", {}, "tty.*requiretty"),
        ("hale-never", {}, "a password is required"),
        ("hale-sudo", {"become_user": "nobody-here"}, "nobody-here"),
    ],
)
def test_sudo_refused(
    users: Lab, connect: Connect, user: str, how: dict[str, str], words: str
) -> None:
    host = connect(**to(users, user, become=True, **how))
    with pytest.raises(BecomeFailed, match=words) as refused:
        host.run("true")
    assert "wrong" not in str(refused.value).replace("is wrong", "")
    assert host.attempts == 1


def test_the_sudo_password_is_nowhere(users: Lab, connect: Connect, tmp_path: Path) -> None:
    host = connect(**to(users, "hale-asked", become=True, become_password=PASSWORD))
    host.run("true")
    assert PASSWORD not in repr(host.target)
    look = "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | grep -ac 'correct hors[e]'"
    assert host.run(look).stdout == b"0\n"
    assert users[HOST].run(look, check=False).stdout == b"0\n"
    journal = users[HOST].run("journalctl -b | grep -c 'correct hors[e]'", check=False)
    assert journal.stdout == b"0\n"


def test_start_up_files_that_print_change_nothing_but_what_ssh_prints(
    users: Lab, connect: Connect
) -> None:
    """Without sudo each command prints the noise, as it does with plain ssh; never more."""
    host = connect(**to(users, "hale-noisy"))
    done = host.run("echo yes")
    assert (done.stdout, done.stderr) == (b"noise on stdout\nyes\n", b"noise on stderr\n")


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ("hale-none", "not available"),
        ("hale-hang", "the shell did not start within 8"),
        ("nobody-here", "Permission denied.*ssh -v"),
    ],
)
def test_no_login(users: Lab, connect: Connect, user: str, words: str) -> None:
    host = connect(**to(users, user, connect_timeout=8.0 if "within 8" in words else 60.0))
    begun = time.monotonic()
    with pytest.raises(HostUnreachable, match=words):
        host.run("true")
    assert time.monotonic() - begun < 30  # ssh alone waits for minutes
    assert host.attempts == 1


def test_a_banner_is_not_the_reason(users: Lab, connect: Connect) -> None:
    # A reload returns before sshd has executed itself again, and for a moment nothing listens; a
    # restart returns when it is ready (Type=notify).
    users[HOST].run(
        "echo 'ALL ACCESS IS LOGGED' >/etc/issue.hale; "
        "echo 'Banner /etc/issue.hale' >/etc/ssh/sshd_config.d/hale.conf; systemctl restart ssh"
    )
    try:
        assert connect(**to(users, "root")).run("echo yes").stderr == b""
        with pytest.raises(HostUnreachable, match="Permission denied") as down:
            connect(**to(users, "nobody-here")).run("true")
        assert "LOGGED" not in str(down.value)
    finally:
        users[HOST].run(
            "rm /etc/issue.hale /etc/ssh/sshd_config.d/hale.conf; systemctl restart ssh"
        )


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ("", "Host key verification failed.*compare its fingerprint"),
        ("{host} {other}\n", "Host key verification failed.*differs.*ssh-keygen -R"),
    ],
)
def test_host_keys_are_verified(
    users: Lab, connect: Connect, tmp_path: Path, known: str, words: str
) -> None:
    subprocess.run(["ssh-keygen", "-qt", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    other = " ".join((tmp_path / "key.pub").read_text().split()[:2])
    (tmp_path / "known").write_text(known.format(host=users[HOST].address, other=other))
    options = "-o", f"UserKnownHostsFile={tmp_path}/known"
    with pytest.raises(HostUnreachable, match=words):
        connect(**to(users, "root", ssh_args=options)).run("true")


def test_no_python_is_needed(users: Lab, connect: Connect) -> None:
    users[HOST].run("for p in /usr/bin/python3*; do mv $p $p.hidden; done")
    try:
        host = connect(**to(users, "root"))
        assert host.run("command -v python3 python").exit_status != 0
        assert host.run("echo no snake").stdout == b"no snake\n"
    finally:
        users[HOST].run("for p in /usr/bin/python3*.hidden; do mv $p ${p%.hidden}; done")


_CLIENT = """
import sys
from hale.ssh import Session, Target
host = Session(Target(name=sys.argv[1], user=sys.argv[2], ssh_config=sys.argv[3],
                      become=sys.argv[4] == "True"))
host.submit("sh -c 'sleep 4711 & timeout 600 sleep 4711; exit' # and fish knows no (...)")
for n in range(200):
    host.submit("touch /tmp/hale-went-on; sleep 4711 #" + "x" * 3000)
host.run("true", timeout=500)
"""


@pytest.mark.parametrize("become", [True, False])
@pytest.mark.parametrize("user", ["root", "hale-sudo", "hale-pty", "hale-fish"])
def test_no_process_remains_after_kill_9(users: Lab, user: str, become: bool) -> None:
    """Whatever runs, and with a full queue behind it."""
    users[HOST].run("rm -f /tmp/hale-went-on; pkill -f '[s]leep 4711' || true")  # of a first try
    client = subprocess.Popen(
        [sys.executable, "-c", _CLIENT, HOST, user, str(users.ssh_config), str(become)],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )
    look = "pgrep -fc '[s]leep 4711'"

    def running(host: Lab) -> int:
        return int(host[HOST].run(look, check=False).stdout)

    try:
        end = time.monotonic() + 240
        while running(users) < 2 and time.monotonic() < end:
            time.sleep(0.05)
        assert running(users) >= 2, "the command never began"
    finally:
        os.kill(client.pid, 9)
        client.wait()
    end = time.monotonic() + 120
    while running(users) and time.monotonic() < end:
        time.sleep(0.05)
    assert running(users) == 0
    assert not users[HOST].run("ls /tmp/hale-went-on", check=False).stdout


def test_a_jump_host_and_an_agent(
    users: Lab, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ssh can, the connection can: the key is in an agent, the way leads over a host."""
    agent = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", agent], stdout=subprocess.DEVNULL)
    try:
        while not agent.exists():
            time.sleep(0.01)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
        config = users.ssh_config.read_text()
        key = users.state / "id_ed25519"
        subprocess.run(["ssh-add", "-q", key], check=True)
        (tmp_path / "config").write_text(
            "\n".join(
                line for line in config.split("\n") if "Identit" not in line.partition("#")[0]
            )
        )
        jump = users.hosts[0].name
        host = connect(
            HOST, user="hale-sudo", ssh_config=str(tmp_path / "config"), ssh_args=("-J", jump)
        )
        came_from = host.run("echo ${SSH_CLIENT%% *}").stdout.decode().strip()
        assert came_from == users.hosts[0].address
    finally:
        process.terminate()
        process.wait()

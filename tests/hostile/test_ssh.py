"""ssh's configuration cannot weaken a session, and no name runs a command; real sshd of a lab host.

Each test runs the operator's ssh with a configuration that somebody wrote with care.
"""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from hale.polling import wait_until
from hale.report import html
from hale.ssh import BecomeFailed, HostUnreachable, Session, Target
from lab.machine import Lab, LabHost
from tests.connection.lab_users import HOST, PASSWORD, lab_users
from tests.engine.pytest_cli import typed


@dataclass
class Server:
    """A host of the lab with its real sshd, and how a session reaches it."""

    folder: Path
    lab: Lab
    host: LabHost

    def config(self, *lines: str, user: str = "root") -> Target:
        """The target, with these lines of ~/.ssh/config before the lab's own."""
        path = self.folder / "config"
        known = f"UserKnownHostsFile {self.folder}/known_hosts"
        rest = ["Match all", f"Include {self.lab.ssh_config}"]
        path.write_text("\n".join(["Host *", *lines, known, *rest]) + "\n")
        return Target(self.host.address, user=user, ssh_config=str(path), connect_timeout=20)

    def trust(self, host: LabHost | None) -> None:
        """known_hosts has this host's keys for our host's address; None: it is empty."""
        lines = self.lab.known_hosts.read_text().splitlines()
        keys = [line.split()[1:3] for line in lines if host and line.startswith(host.address)]
        text = "".join(f"{self.host.address} {' '.join(key)}\n" for key in keys)
        assert text or host is None
        (self.folder / "known_hosts").write_text(text)


@pytest.fixture(scope="module")
def server(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with lab_users(lab):
        yield Server(tmp_path_factory.mktemp("ssh"), lab, lab[HOST])


@pytest.fixture
def agent(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An agent with the operator's key."""
    path = server.folder / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL)
    try:
        assert not wait_until(lambda: not path.exists(), 60, 0.02)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        subprocess.run(["ssh-add", "-q", str(server.lab.state / "id_ed25519")], check=True)
        yield
    finally:
        process.terminate()
        process.wait(60)
        path.unlink(missing_ok=True)


def run(target: Target, command: str = "env") -> str:
    session = Session(target)
    try:
        return session.run(command, timeout=20).stdout.decode()
    finally:
        session.close()


@pytest.mark.lab
@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize(
    "lines",
    [
        ["ForwardAgent yes"],
        ["ForwardX11 yes", "ForwardX11Trusted yes"],
        ["PermitLocalCommand yes", "LocalCommand touch {folder}/local-command"],
        ["RequestTTY force"],
        ["StdinNull yes"],
        ["SessionType none"],
        ["SessionType subsystem"],
        ["ForkAfterAuthentication yes"],
        ["LocalForward 127.0.0.1:1 127.0.0.1:1", "ExitOnForwardFailure yes"],
        ["RemoteCommand echo no"],
        ["Tunnel yes", "ExitOnForwardFailure yes"],
    ],
    ids=lambda lines: lines[0].partition(" {")[0].replace(" ", "="),
)
def test_what_ssh_config_cannot_change(
    server: Server, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", "127.0.0.1:0")
    server.trust(server.host)
    filled = [line.format(folder=server.folder) for line in lines]
    environment = run(server.config(*filled), "env; tty; echo done")
    assert environment.endswith("not a tty\ndone\n")
    assert "SSH_AUTH_SOCK=" not in environment
    assert "DISPLAY=" not in environment
    assert not (server.folder / "local-command").exists()


@pytest.mark.lab
@pytest.mark.parametrize("value", ["no", "off", "accept-new"])
def test_a_changed_host_key_ends_the_host(server: Server, value: str) -> None:
    server.trust(server.lab["k8s-node-02"])
    target = server.config(f"StrictHostKeyChecking {value}")
    session = Session(target)
    try:
        with pytest.raises(HostUnreachable, match="differs from the one in known_hosts"):
            session.run("touch /root/hale-ran")
    finally:
        session.close()
    assert server.host.run("ls /root/hale-ran; :").stdout == b""
    allowed = replace(target, any_host_key=True)
    assert run(allowed, "echo yes") == "yes\n"


@pytest.mark.lab
@pytest.mark.parametrize("value", ["no", "accept-new"])
def test_a_new_host_key_is_not_a_verified_one(server: Server, value: str) -> None:
    server.trust(None)
    session = Session(server.config(f"StrictHostKeyChecking {value}"))
    try:
        assert session.run("echo yes").stdout == b"yes\n"
        assert session.host_key is None
    finally:
        session.close()
    server.trust(server.host)
    session = Session(server.config(f"StrictHostKeyChecking {value}"))
    try:
        session.run("echo yes")
        assert session.host_key
    finally:
        session.close()


@pytest.mark.lab
def test_no_password_without_a_verified_key(server: Server) -> None:
    target = replace(
        server.config("StrictHostKeyChecking no", user="hale-asked"),
        become=True,
        become_password=PASSWORD,
    )
    server.trust(None)
    session = Session(target)
    with pytest.raises(BecomeFailed, match="which is not sent: the host key was not in"):
        session.run("true")
    session.close()
    server.trust(server.host)
    assert run(target, "id -un") == "root\n"


def test_a_run_without_verified_keys_reports_that_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before any row, on the terminal and on the page; a host that was verified is not named."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "ssh").symlink_to(Path(__file__).parents[1] / "connection/fake_ssh")
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    path = tmp_path / "inventory.ini"
    path.write_text(
        "[masters]\nm1 ansible_host=m1\n[all:vars]\nvip=127.0.0.1\nvip_port=9\n"
        "vip_names=localhost\n"
    )
    done = typed(tmp_path / "r", "--hosts=all", f"--inventory={path}", "-k", "sysctl")
    words = "HOST KEYS NOT VERIFIED"
    assert 0 < done.output.index(words) < done.output.index("checks/test_sysctl.py")
    assert done.folder
    page = (done.folder / "report.html").read_text()
    assert 0 < page.index(words) < page.index("SYS-IP-FORWARD")
    found = done.results
    found.hosts[0].host_key = "ssh-ed25519 SHA256:abc"
    assert words not in html.render(found)


def test_options_of_an_older_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 8.7 ssh refuses three of them; the session does without, and tries once more."""
    fake = Path(__file__).parents[1] / "connection/fake_ssh"
    (tmp_path / "ssh").write_text(
        '#!/bin/sh\ncase "$*" in *SessionType*) while [ "$1" != -E ]; do shift; done\n'
        'echo "command-line: line 0: Bad configuration option: sessiontype" >>"$2"\n'
        "exit 255;; esac\n"
        f'exec {fake} "$@"\n'
    )
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("SHELL", "/bin/sh")
    assert run(Target("old"), "echo yes") == "yes\n"

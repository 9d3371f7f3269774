"""Hosts that are not there, or behave badly before the login: one attempt, in time, in words."""

import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from hale.polling import wait_until
from hale.ssh import ConnectionLost, HostUnreachable
from lab.machine import Lab

from .conftest import Connect

Peer = Callable[[socket.socket], None]


@pytest.fixture
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    """A port of this machine on which the parametrized function talks to whoever connects."""
    talk: Peer = request.param
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                peer, _ = server.accept()
                threading.Thread(target=answer, args=(peer,), daemon=True).start()

    def answer(peer: socket.socket) -> None:
        with peer, suppress(OSError):
            talk(peer)

    threading.Thread(target=serve, daemon=True).start()
    yield server.getsockname()[1]
    server.shutdown(socket.SHUT_RDWR)
    server.close()


def silent(peer: socket.socket) -> None:
    peer.recv(1 << 16)
    time.sleep(60)


def dribbles_garbage(peer: socket.socket) -> None:
    while True:
        peer.sendall(b"garbage without an end\r\n")
        time.sleep(0.05)


def floods_garbage(peer: socket.socket) -> None:
    while True:
        peer.sendall(b"HTTP/1.1 400 Bad Request " * 1000)


def closes_half_way(peer: socket.socket) -> None:
    peer.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
    peer.recv(100)


def closes_at_once(peer: socket.socket) -> None:
    pass


def hangs_in_key_exchange(peer: socket.socket) -> None:
    peer.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
    time.sleep(60)


@pytest.mark.parametrize(
    ("port", "words"),
    [
        (silent, "timed out"),
        (dribbles_garbage, "timed out|banner|identification"),
        (floods_garbage, "timed out|banner|identification"),
        (closes_half_way, "onnection (closed|reset).*sshd log"),
        (closes_at_once, "onnection (closed|reset).*sshd log"),
        (hangs_in_key_exchange, "timed out"),
    ],
    indirect=["port"],
)
def test_what_answers_is_no_ssh_server(connect: Connect, port: int, words: str) -> None:
    is_down(connect, words, name="127.0.0.1", port=port)


def test_nobody_listens(connect: Connect) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: nobody else takes it
        is_down(
            connect, "refused.*check sshd and port", name="127.0.0.1", port=taken.getsockname()[1]
        )


def test_no_such_name(connect: Connect) -> None:
    is_down(connect, "Could not resolve.*ansible_host", name="no-such-host.invalid")


def test_a_proxy_command_that_fails(connect: Connect) -> None:
    proxy = "-o", "ProxyCommand=sh -c '(echo the jump host is on fire >&2); exit 1'"
    is_down(connect, "the jump host is on fire", name="127.0.0.1", ssh_args=proxy)


def test_a_proxy_command_that_hangs(connect: Connect) -> None:
    """It is ended too: nothing of ours stays on this machine."""
    mark = f"4712{os.getpid()}"
    proxy = "-o", f"ProxyCommand=sleep {mark}"
    is_down(connect, "timed out", name="127.0.0.1", ssh_args=proxy)
    assert subprocess.run(["pgrep", "-f", f"^sleep {mark}"], check=False).returncode == 1


@pytest.mark.parametrize("level", [None, "0", "1"])
def test_a_proxy_command_behind_a_slow_bashrc(
    connect: Connect, level: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Started by cron, systemd or CI, no shell is above us; bash must not take that for rshd."""
    (tmp_path / ".bashrc").write_text(f"touch {tmp_path}/read\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SHELL", "/bin/bash")
    if level is None:
        monkeypatch.delenv("SHLVL", raising=False)
    else:
        monkeypatch.setenv("SHLVL", level)
    proxy = "-o", f"ProxyCommand=touch {tmp_path}/run", "-o", "ProxyUseFdpass=yes"
    is_down(connect, "did not pass back a connection", name="127.0.0.1", ssh_args=proxy)
    assert (tmp_path / "run").exists()
    assert not (tmp_path / "read").exists()


def test_a_mistake_in_the_ssh_configuration(connect: Connect, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("Nonsense yes\n")
    is_down(connect, "onfiguration option.*nonsense", name="h", ssh_config=str(tmp_path / "config"))


def is_down(connect: Connect, words: str, **how: object) -> None:
    """Every command raises HostUnreachable in time, after one attempt."""
    # Another reason than the timeout must come before it, however busy this machine is.
    timeout = 1.0 if "timed out" in words else 60.0
    host = connect(connect_timeout=timeout, **{"ssh_config": "/dev/null"} | how)
    begun = time.monotonic()
    for result in [host.submit("true") for _ in range(3)]:
        with pytest.raises(HostUnreachable, match=f"(?i){how['name']}: .*({words})"):
            result.result()
    assert time.monotonic() - begun < 30  # ssh alone waits for minutes
    with pytest.raises(HostUnreachable):
        host.run("true")
    assert host.attempts == 1


@pytest.mark.lab
class TestInTheLab:
    def test_packets_are_swallowed(self, lab: Lab, connect: Connect) -> None:
        victim = lab.hosts[0]
        victim.run(
            "nft 'add table inet hale_test; add chain inet hale_test in "
            "{ type filter hook input priority 0; }; add rule inet hale_test in tcp dport 22 drop'"
        )
        try:
            is_down(connect, "timed out", name=victim.name, ssh_config=str(lab.ssh_config))
        finally:
            victim.run("nft delete table inet hale_test")

    def test_an_address_of_no_host(self, lab: Lab, connect: Connect) -> None:
        is_down(
            connect, "timed out|route", name="ghost", address="10.208.1.77",
            ssh_config=str(lab.ssh_config),
        )  # fmt: skip

    def test_a_living_host_among_dead_ones_is_not_late(self, lab: Lab, connect: Connect) -> None:
        config = str(lab.ssh_config)
        dead = [
            connect(f"ghost{n}", address=f"10.208.1.{n}", ssh_config=config, connect_timeout=90.0)
            for n in (71, 72, 73)
        ]
        living = connect(lab.hosts[1].name, ssh_config=config)
        begun = time.monotonic()
        for host in (*dead, living):
            host.start()
        assert living.run("echo here").stdout == b"here\n"
        assert time.monotonic() - begun < 60  # of 90 s that the dead ones have

    def test_the_host_goes_down_in_the_middle(self, lab: Lab, connect: Connect) -> None:
        """sshd dies under a command: an error, not a status; afterwards a new connection."""
        victim = lab.hosts[0]
        host = connect(victim.name, ssh_config=str(lab.ssh_config))
        running = host.submit("sleep 600")
        behind = host.submit("echo behind")
        while not victim.run("pgrep -fx 'sleep 600'", check=False).stdout:
            time.sleep(0.05)
        victim.run("pkill -KILL -f '^sshd: root@notty'")
        with pytest.raises(ConnectionLost, match=r"sleep 600.*may have begun"):
            running.result()
        with pytest.raises(ConnectionLost, match=r"echo behind.*may have begun"):
            behind.result()
        assert host.run("echo back").stdout == b"back\n"
        assert host.attempts == 2
        # sshd is dead: the host's own shell sees that nobody reads it any more.
        there = "pgrep -fx 'sleep 600'"
        gone = wait_until(lambda: victim.run(there, check=False).stdout, 60.0, 0.1)
        assert gone == b""

"""Hosts that do not answer as ssh hosts do: the whole audit, each attempt counted.

A ProxyCommand stands for the network, so no address is ever dialled; nor is the VIP, which
this machine too is asked for.
"""

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.engine.pytest_cli import Done, command, environment, typed

# What happens when ssh dials: a shell command whose output is what the host sends.
HABITS = {
    "refuses": ("echo 'nc: connect refused' >&2; exit 1", ""),
    "garbage": ("head -c 100000 /dev/urandom", ""),
    "garbage-without-end": ("cat /dev/zero", ""),
    # It takes the client's banner first: hanging up on it would make the reason a matter of chance.
    "http": (
        r"printf 'HTTP/1.1 400 Bad Request\r\n\r\n'; head -n 1 >/dev/null",
        "whether the port is an SSH port",
    ),
    "banner-only": (r"printf 'SSH-2.0-OpenSSH_9.2\r\n'; sleep 60", ""),
    "banner-then-gone": (r"printf 'SSH-2.0-OpenSSH_9.2\r\n'", ""),
    "hangs": ("sleep 60", "timed out"),
    "old": (r"printf 'SSH-1.5-old\r\n'; sleep 60", ""),
}


class Network:
    """An inventory of unreachable hosts, and what was dialled."""

    def __init__(self, folder: Path, habits: dict[str, tuple[str, str]]) -> None:
        self.folder = folder
        self.dialled = folder / "dialled"
        names = sorted(habits)
        config = [f"# {folder}"]
        for name in names:
            script = folder / f"{name}.sh"
            script.write_text(
                f"#!/bin/sh\necho {name} >>{self.dialled}\n: >{script}.began\n{habits[name][0]}\n"
            )
            script.chmod(0o755)
            config.append(f"Host {name}\n  ProxyCommand {script}")
        config.append("Host *\n  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null")
        (folder / "ssh_config").write_text("\n".join(config) + "\n")
        self.inventory = folder / "inventory.ini"
        self.inventory.write_text(
            "[masters]\n{}\n[all:vars]\nvip=127.0.0.1\nvip_port=9\nvip_names=localhost\n"
            "ansible_ssh_common_args='-F {}'\n".format("\n".join(names), folder / "ssh_config")
        )

    @property
    def words(self) -> list[str]:
        return [f"--inventory={self.inventory}", "--connect-timeout=2"]

    @property
    def attempts(self) -> Counter[str]:
        text = self.dialled.read_text() if self.dialled.exists() else ""
        return Counter(text.split())

    def spread(self) -> float:
        """Seconds between the first host's login and the last one's."""
        began = [path.stat().st_mtime for path in self.folder.glob("*.began")]
        return max(began) - min(began)

    def connections(self) -> list[str]:
        """Processes of ours that are still there, by their command lines."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if str(self.folder) in words and process.name != str(os.getpid()):
                found.append(f"{process.name} {words[:200]}")
        return found

    def gone(self) -> bool:
        end = time.monotonic() + 120
        while self.connections() and time.monotonic() < end:
            time.sleep(0.05)
        return not self.connections()


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    network = Network(tmp_path, HABITS)
    yield network
    assert network.gone(), network.connections()


@pytest.mark.parametrize("words", [[], ["-n2"]], ids=["plain", "xdist"])
def test_each_costs_one_attempt_and_all_at_once(
    network: Network, tmp_path: Path, words: list[str]
) -> None:
    patience = 5
    login = (*network.words, f"--connect-timeout={patience}")
    done = typed(tmp_path / "r", "--hosts=all,local://", *login, *words, "-k", "sysctl or hostname")
    assert done.code == 1
    assert network.attempts == dict.fromkeys(HABITS, 1)
    assert network.spread() < 1.5 * patience, "hosts are waited for one after the other"
    for name, (_, reason) in HABITS.items():
        rows = [r for r in done.results.results if r.host == name]
        assert {str(r.verdict) for r in rows} == {"UNKNOWN"}
        (why,) = {r.actual for r in rows}
        assert why.startswith(f"{name}: ")
        assert reason in why
    fine = done.of("local")
    assert {v for k, v in fine.items() if k.startswith("SYS-")} <= {"PASS", "FAIL"}
    assert done.results.run.state == "finished"
    assert not unreadable(done)


def unreadable(done: Done) -> list[str]:
    return [word for word in ("Traceback", "INTERNALERROR") if word in done.output]


def test_collecting_contacts_no_host(network: Network, tmp_path: Path) -> None:
    done = typed(tmp_path / "r", "--hosts=all", "--collect-only", "-q", *network.words)
    assert done.code == 0
    assert not network.attempts
    assert done.folder is None


def test_hosts_that_are_not_named_are_not_dialled(network: Network, tmp_path: Path) -> None:
    typed(tmp_path / "r", "--hosts=refuses", "-k", "sysctl", *network.words)
    assert network.attempts == {"refuses": 1}


def test_live_checks_of_a_dead_host_dial_once(tmp_path: Path, network: Network) -> None:
    """Three checks that a site adds, and our own rows: still one attempt."""
    (tmp_path / "test_live.py").write_text(
        "import pytest\n@pytest.mark.parametrize('n', range(3))\n"
        "def test_live(host, n): assert host.run('true').rc == 0\n"
    )
    words = [str(tmp_path / "test_live.py"), "checks/test_sysctl.py", "--rootdir=."]
    done = typed(tmp_path / "r", "--hosts=refuses", *network.words, *words)
    assert done.code == 1
    assert "3 failed" in done.output
    assert network.attempts == {"refuses": 1}


# --- before pytest has read all options ---

WAITING = """
import pathlib, pytest, time

@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests():
    end = time.monotonic() + 40
    while not pathlib.Path({dialled!r}).exists():
        assert time.monotonic() < end, "no login began before the first conftest.py"
        time.sleep(0.05)
    return (yield)
"""
NOT_YET = """
import pathlib, pytest, time

@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests():
    time.sleep(1)
    assert not pathlib.Path({dialled!r}).exists(), "a login began before the first conftest.py"
    return (yield)
"""
OTHER_WORDS = """
import pathlib, pytest, time

@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config):
    end = time.monotonic() + 30
    while len(pathlib.Path({dialled!r}).read_text().split()) < 2:
        assert time.monotonic() < end, "not all logins began before the options were read"
        time.sleep(0.05)
    config.option.connect_timeout = 2.5
"""


def typed_with(plugin: str, network: Network, folder: Path, *words: str) -> Done:
    """An audit of sysctl with one more plugin, which is named after those of pytest.ini."""
    (folder / "one_more.py").write_text(plugin)
    return typed(
        folder / "r",
        *network.words,
        *(*words, "-p", "one_more", "-k", "sysctl"),
        more={"PYTHONPATH": str(folder)},
    )


def test_logins_begin_before_the_first_conftest(network: Network, tmp_path: Path) -> None:
    plugin = WAITING.format(dialled=str(network.dialled))
    done = typed_with(plugin, network, tmp_path, "--hosts=refuses")
    assert done.code == 1, done.output
    assert network.attempts == {"refuses": 1}


def test_without_the_fast_start_the_audit_is_the_same(network: Network, tmp_path: Path) -> None:
    off = ("-p", "no:hale.pytest_plugin.fastpath")
    plugin = NOT_YET.format(dialled=str(network.dialled))
    done = typed_with(plugin, network, tmp_path, "--hosts=refuses", *off)
    assert done.code == 1, done.output
    assert network.attempts == {"refuses": 1}
    assert {str(r.verdict) for r in done.results.results} == {"UNKNOWN"}


def test_logins_that_began_with_other_options_begin_again(network: Network, tmp_path: Path) -> None:
    network.dialled.touch()
    plugin = OTHER_WORDS.format(dialled=str(network.dialled))
    done = typed_with(plugin, network, tmp_path, "--hosts=refuses,hangs")
    assert done.code == 1, done.output
    assert network.attempts == {"refuses": 2, "hangs": 2}
    assert {str(r.verdict) for r in done.results.results} == {"UNKNOWN"}


@pytest.mark.parametrize(
    ("words", "host"), [([], "hangs"), (["--hosts=refuses"], "refuses")], ids=["alone", "outdone"]
)
def test_words_of_the_environment_count(
    network: Network, tmp_path: Path, words: list[str], host: str
) -> None:
    more = {"PYTEST_ADDOPTS": "--hosts=hangs -k sysctl"}
    typed(tmp_path / "r", *words, *network.words, more=more)
    assert network.attempts == {host: 1}


# --- ended by the operator ---


def started(reports: Path, network: Network, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(reports, *network.words, *words),
        cwd=Path(__file__).resolve().parents[2],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_until_gathering(run: subprocess.Popen[str], network: Network, reports: Path) -> None:
    """Logins begin before the tests are collected, on a busy machine long before; the results file
    is written just before the hosts are waited for."""
    while len(network.attempts) < 5 or not any(reports.glob("*-audit/results.json")):
        assert run.poll() is None
        time.sleep(0.02)


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[Network]:
    habits = {f"hangs{n}": ("sleep 240", "") for n in range(5)}
    network = Network(tmp_path, habits)
    network.inventory.write_text(network.inventory.read_text())
    yield network
    assert network.gone(), network.connections()


@pytest.mark.parametrize("words", [[], ["-n2"]], ids=["plain", "xdist"])
def test_ctrl_c_while_gathering(hanging: Network, tmp_path: Path, words: list[str]) -> None:
    reports = tmp_path / "r"
    run = started(reports, hanging, "--hosts=all", "--connect-timeout=200", *words)
    wait_until_gathering(run, hanging, reports)
    began = time.monotonic()
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does: all of the foreground
    output = run.communicate(timeout=150)[0]
    assert time.monotonic() - began < 100  # of 200 s that the logins have
    assert run.returncode == 2, output
    assert "Traceback" not in output
    done = Done(2, output, reports)
    assert set(done.verdicts.values()) == {"UNKNOWN"}
    assert done.results.run.state == "interrupted"
    assert {r.actual for r in done.results.results} == {"not judged: the run ended before"}
    # With xdist the hosts are asked before pytest's session has begun, so it has no end either.
    assert done.results.run.exit_status == (None if words else 2)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_killed_while_gathering(hanging: Network, tmp_path: Path, number: signal.Signals) -> None:
    """Nothing of ours can run then: the rows must be on disk."""
    reports = tmp_path / "r"
    run = started(reports, hanging, "--hosts=all", "--connect-timeout=200")
    wait_until_gathering(run, hanging, reports)
    run.send_signal(number)
    run.communicate(timeout=150)
    done = Done(run.returncode, "", reports)
    assert done.results.run.state == "interrupted"
    assert set(done.verdicts.values()) == {"UNKNOWN"}
    kill_the_rest(hanging)


def test_after_a_kill_ssh_ends_by_itself(hanging: Network, tmp_path: Path) -> None:
    run = started(tmp_path / "r", hanging, "--hosts=all", "--connect-timeout=2")
    while len(hanging.attempts) < 5:
        time.sleep(0.02)
    run.kill()
    run.communicate(timeout=150)
    end = time.monotonic() + 120  # of the 240 s that the hosts take
    while any("ssh " in line for line in hanging.connections()):
        assert time.monotonic() < end, hanging.connections()
        time.sleep(0.1)
    kill_the_rest(hanging)  # the ProxyCommand's own shell


def kill_the_rest(network: Network) -> None:
    for line in network.connections():
        with suppress(ProcessLookupError):
            os.kill(int(line.partition(" ")[0]), signal.SIGKILL)

"""The audit and its sessions against hosts that do not keep to the protocol; needs no root.

A program stands in for ssh (evil_ssh). The operator's process is bounded in memory by the kernel's
account (wait4(2)), and every other host is judged.
"""

import json
import os
import resource
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hale.ssh import ConnectionLost, RemoteError, Session, Target
from tests.engine.pytest_cli import ROOT, Done, command, environment
from tests.hostile import leftovers

MEMORY = 200 << 20
EVIL_SSH = Path(__file__).with_name("evil_ssh")
# Seconds for an answer. A busy machine may need the second try: the honest host has to answer, and
# others to print 64 MiB, before the time of the silent ones is over.
TIMEOUTS = (3, 30)
#: The words of the reason.
REASONS = {
    "status-letters": "ended with b'abc', which is no exit status",
    "status-arabic": "which is no exit status",
    "status-nines": "which is no exit status",
    "status-negative": "which is no exit status",
    "status-blank": "which is no exit status",
    "status-without-end": "which is no exit status",
    "no-stderr-nonce": "printed more than 64 MiB",
    "no-stdout-nonce": "printed more than 64 MiB",
    "endless-stderr": "printed more than 64 MiB",
    "a-byte-a-second": "did not finish answering within {timeout} s",
    "silent": "did not finish answering within {timeout} s",
    # These have answered (nothing) before.
    "talks-on": "the host did not run the script",
    "talks-on-stderr": "the host did not run the script",
}


@dataclass
class Site:
    """An inventory of hosts that lie and an honest one, and what a command needs to use it."""

    folder: Path
    _runs: list["subprocess.Popen[str]"] = field(default_factory=list)

    def inventory(self, *names: str) -> Path:
        path = self.folder / "inventory.ini"
        hosts = "\n".join(f"{name} ansible_host={name}" for name in ("honest", *names))
        path.write_text(
            f"[masters]\n{hosts}\n[all:vars]\nvip=127.0.0.1\nvip_port=9\nvip_names=localhost\n"
            "hale_site=lab\n"
        )
        return path

    def start(self, inventory: Path, *words: str) -> "subprocess.Popen[str]":
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        reports = self.folder / "reports"
        shutil.rmtree(reports, ignore_errors=True)
        run = subprocess.Popen(
            command(
                reports,
                "--hosts=all",
                f"--inventory={inventory}",
                "-k",
                "sysctl",
                *words,
            ),
            cwd=ROOT,
            env=environment({"PATH": path}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30)),
        )
        self._runs.append(run)
        return run

    def end(self, run: "subprocess.Popen[str]") -> tuple[Done, int]:
        """How it ended, and the most memory that it had (bytes)."""
        assert run.stdout
        stopped = threading.Timer(240, run.kill)  # a run that does not end
        stopped.start()
        with run.stdout as stream:
            output = stream.read()
        stopped.cancel()
        _, status, usage = os.wait4(run.pid, 0)
        run.returncode = os.waitstatus_to_exitcode(status)
        return Done(run.returncode, output, self.folder / "reports"), usage.ru_maxrss << 10

    def end_all(self) -> None:
        """No run remains, and no stand-in for ssh: some of them end for nobody."""
        for run in self._runs:
            if run.returncode is None:
                run.kill()
                run.wait()
        self._runs.clear()
        leftovers.end(f"{self.folder / 'bin'}:")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("evil")
    (folder / "bin").mkdir()
    (folder / "bin/ssh").symlink_to(EVIL_SSH)
    return Site(folder)


@pytest.fixture(autouse=True)
def every_run_ends(site: Site) -> Iterator[None]:
    yield
    site.end_all()


@pytest.fixture(scope="module")
def usual(site: Site) -> tuple[Done, int]:
    """The honest host alone."""
    done, memory = site.end(
        site.start(site.inventory(), "--gather-timeout=120", "--connect-timeout=120")
    )
    # All are compared with it: an honest host that was too late would be missed in each.
    assert {"PASS", "FAIL"} & set(done.of("honest").values()), done.output
    return done, memory


def reasons(done: Done, timeout: int) -> dict[str, str]:
    """The rows of hosts that lie which have not the reason that they should have."""
    wanted = {name: words.format(timeout=timeout) for name, words in REASONS.items()}
    return {
        r.host: r.actual for r in done.results.results if wanted.get(r.host, "") not in r.actual
    }


def test_every_lie_at_once(site: Site, usual: tuple[Done, int]) -> None:
    for timeout in TIMEOUTS:
        began = time.monotonic()
        run = site.start(site.inventory(*REASONS), f"--gather-timeout={timeout}")
        done, memory = site.end(run)
        assert time.monotonic() - began < timeout + 27
        wrong = reasons(done, timeout)
        if not wrong and done.of("honest") == usual[0].of("honest"):
            break
    assert wrong == {}
    assert done.code == 1, done.output
    assert done.results.run.state == "finished"
    assert "Traceback" not in done.output
    assert done.of("honest") == usual[0].of("honest")
    assert {"PASS", "FAIL"} & set(done.of("honest").values())
    assert memory - usual[1] < 3 * MEMORY, "four hosts print without end"
    for name in REASONS:
        assert set(done.of(name).values()) == {"UNKNOWN"}, name


def honest_answers(site: Site, usual: tuple[Done, int], *names: str) -> int:
    """Audit it beside these; the most memory of the run, beyond the usual (bytes)."""
    for timeout in TIMEOUTS:
        run = site.start(site.inventory(*names), f"--gather-timeout={timeout}")
        done, memory = site.end(run)
        if done.of("honest") == usual[0].of("honest"):
            break
    assert done.of("honest") == usual[0].of("honest")
    return memory - usual[1]


@pytest.mark.parametrize("name", ["no-stderr-nonce", "endless-stderr", "status-without-end"])
def test_output_without_end_is_not_kept(site: Site, usual: tuple[Done, int], name: str) -> None:
    assert honest_answers(site, usual, name) < MEMORY


@pytest.mark.parametrize("name", ["talks-on", "talks-on-stderr"])
def test_output_that_was_not_requested_ends_the_connection(
    site: Site, usual: tuple[Done, int], name: str
) -> None:
    """While another host is waited for."""
    assert honest_answers(site, usual, name, "silent") < MEMORY


@pytest.fixture
def evil(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(site.folder / "bin"), prepend=":")


@pytest.mark.usefixtures("evil")
@pytest.mark.parametrize("name", ["talks-on", "talks-on-stderr"])
def test_a_host_that_talks_on_is_not_contacted_again(name: str) -> None:
    """At a question to the operator, nothing reads what a host prints."""
    session = Session(Target(name=name, connect_timeout=60))
    try:
        session.run("true", timeout=60)
        (thread,) = (t for t in threading.enumerate() if t.name == f"hale-{name}")
        thread.join(60)
        with pytest.raises(ConnectionLost, match="printed what no command asked for"):
            session.run("true", timeout=60)
        assert session.attempts == 1
    finally:
        session.close()


@pytest.mark.usefixtures("evil")
@pytest.mark.parametrize("name", [name for name in REASONS if name.startswith("status")])
def test_a_status_that_is_no_number_settles_every_command(name: str) -> None:
    session = Session(Target(name=name, connect_timeout=60))
    try:
        jobs = [session.submit("true", timeout=60) for _ in range(3)]
        for job in jobs:
            with pytest.raises(RemoteError, match=r"no exit status|killed the shell"):
                job.result(timeout=60)
        assert session.attempts == 1
    finally:
        session.close()


def interrupt(
    site: Site,
    number: signal.Signals,
    *words: str,
    hosts: tuple[str, ...] = ("silent", "holds-on", "talks-on"),
) -> tuple[Done, float]:
    """A run in which one host is silent and the others have answered, until this signal."""
    inventory = site.inventory(*hosts)
    run = site.start(inventory, "--gather-timeout=240", "--connect-timeout=60", *words)
    end = time.monotonic() + 200
    found = (site.folder / "reports").glob
    while not any(b'"honest":' in p.read_bytes() for p in found("*-audit/evidence.json")):
        assert time.monotonic() < end, "the evidence is not saved as it comes"
        assert run.poll() is None
        time.sleep(0.05)
    began = time.monotonic()
    os.killpg(run.pid, number)
    done, _ = site.end(run)
    return done, time.monotonic() - began


def interrupt_within(site: Site, seconds: float, *words: str) -> Done:
    """By Ctrl-C. The fastest of six, because this machine may be busy with other tests; where it is
    all the time, compared with a run of a host that ends when it is told.
    """
    found = []
    for _ in range(6):
        done, took = interrupt(site, signal.SIGINT, *words)
        if took < seconds:
            return done
        _, usual = interrupt(site, signal.SIGINT, *words, hosts=("silent",))
        if took < usual + seconds / 2:
            return done
        found.append(f"{took:.1f} s, and {usual:.1f} s where no host holds on")
    raise AssertionError(f"it took {found}")


@pytest.mark.parametrize("words", [[], ["-n2"]], ids=["plain", "xdist"])
def test_ctrl_c_loses_no_answer(site: Site, usual: tuple[Done, int], words: list[str]) -> None:
    # Where a host's end were waited for, it took 2 s and more (hale/ssh/session.py).
    done = interrupt_within(site, 1.8, *words)
    assert done.code == 2, done.output
    assert "Traceback" not in done.output
    assert done.results.run.state == "interrupted"
    assert done.of("honest") == usual[0].of("honest")
    assert set(done.of("silent").values()) == {"UNKNOWN"}
    assert done.folder
    saved = json.loads((done.folder / "evidence.json").read_text())
    assert "honest" in saved["hosts"]
    assert "silent" not in saved["hosts"]


def test_a_kill_loses_no_answer(site: Site, usual: tuple[Done, int]) -> None:
    done, _ = interrupt(site, signal.SIGKILL)
    assert done.results.run.state == "interrupted"
    assert done.of("honest") == usual[0].of("honest")

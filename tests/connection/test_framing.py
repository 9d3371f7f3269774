"""The framing, over a pretended ssh that runs the host's side here; needs no root."""

import os
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hale.ssh import CommandTimeout, ConnectionLost, HostUnreachable, OutputTooLarge, session

from .conftest import Connect
from .corpus import CASES, Case

LOCAL = [case for case in CASES if not case.ssh_only]


def alive(marker: str, wait: float = 20) -> list[str]:
    """Processes whose command line contains `marker`; they have `wait` seconds to be gone."""
    end = time.monotonic() + wait
    while True:
        found = []
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = process.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if marker in line:
                found.append(line)
        if not found or time.monotonic() > end:
            return found
        time.sleep(0.02)


@pytest.mark.usefixtures("fake_ssh")
@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_results_are_those_of_the_shell(
    connect: Connect, shell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole corpus at once through one session, in pipelined order."""
    monkeypatch.setenv("SHELL", f"/bin/{shell}")
    host = connect()

    def plain(case: Case) -> tuple[int, bytes, bytes]:
        done = subprocess.run(
            [shell, "-c", case.command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            start_new_session=True,
            check=False,
        )
        # A death by signal is what shells make 128+n of.
        status = done.returncode if done.returncode >= 0 else 128 - done.returncode
        return status, done.stdout, done.stderr

    futures = [(case, host.submit(case.command)) for case in LOCAL]
    different = []
    with ThreadPoolExecutor(4) as pool:
        references = list(pool.map(plain, LOCAL))
    for (case, future), expected in zip(futures, references, strict=True):
        if case.hale and "error" in case.hale:
            assert isinstance(future.exception(), case.hale["error"])
            continue
        done = future.result()
        if (done.exit_status, done.stdout, done.stderr) != expected:
            different.append((str(case), expected, done))
    assert different == []


@pytest.mark.usefixtures("fake_ssh")
@pytest.mark.parametrize("simple", [False, True], ids=["any command", "simple"])
def test_a_command_cannot_see_or_print_its_end_mark(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, simple: bool
) -> None:
    """Neither in a process, its own and those before it included, nor in a shell variable.

    Its digits are printed as letters: printed as it is, the mark would end the output.
    """
    marks: list[bytes] = []

    def recorded(count: int) -> bytes:
        made = urandom(count)
        marks.append(made)
        return made

    urandom = os.urandom
    monkeypatch.setattr("hale.ssh.session.os.urandom", recorded)
    known = urandom(16)
    monkeypatch.setenv("VISIBLE", known.hex())
    letters = bytes.maketrans(b"0123456789abcdef", b"ghijklmnopqrstuv")
    look = (
        "{ cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ /proc/$$/stat 2>/dev/null | tr '\\0' '\\n'"
        "; set; echo \"$*\"; } | grep -oE '[0-9a-f]{32,}' | tr '0-9a-f' 'g-v'"
    )
    found = connect().run(look, simple=simple).stdout
    assert known.hex().encode().translate(letters) in found
    assert marks
    for mark in marks:
        assert mark.hex().encode().translate(letters) not in found


@pytest.mark.usefixtures("fake_ssh")
def test_a_simple_command_may_be_longer_than_an_argument(connect: Connect) -> None:
    host = connect()
    long = f"name={'x' * (200 << 10)}; echo ${{#name}}; exit 3"
    done = host.run(long, simple=True)
    assert (done.stdout, done.stderr, done.exit_status) == (b"204800\n", b"", 3)
    after = host.run('echo "${name-unset}" $#; cd /; false', simple=True)
    assert (after.stdout, after.exit_status) == (b"unset 0\n", 1), "each in a shell of its own"
    wrong = host.run("echo 'unfinished", simple=True)
    assert wrong.exit_status == 2
    assert wrong.stderr
    assert host.run("echo on", simple=True).stdout == b"on\n"
    assert host.attempts == 1


@pytest.mark.usefixtures("fake_ssh")
def test_late_output_stays_in_its_own_frame(connect: Connect) -> None:
    host = connect()
    late = host.submit("(sleep 0.3; echo late; echo late2 >&2) & echo now")
    after = host.submit("echo after")
    assert (late.result().stdout, late.result().stderr) == (b"now\nlate\n", b"late2\n")
    assert (after.result().stdout, after.result().stderr) == (b"after\n", b"")


@pytest.mark.usefixtures("fake_ssh")
def test_many_threads_get_their_own_results(connect: Connect) -> None:
    host = connect()
    with ThreadPoolExecutor(16) as pool:
        output = list(pool.map(lambda n: host.run(f"echo {n}; exit {n % 7}"), range(200)))
    assert [(int(done.stdout), done.exit_status) for done in output] == [
        (n, n % 7) for n in range(200)
    ]
    assert host.attempts == 1


@pytest.mark.usefixtures("fake_ssh")
def test_a_nul_byte_is_refused(connect: Connect) -> None:
    with pytest.raises(ValueError, match="NUL"):
        connect().submit(b"echo a\0b")


@pytest.mark.parametrize(
    "script",
    [
        'printf "no newline at the end"; echo noise >&2; exec /bin/sh "$@"',
        'head -c 300000 /dev/urandom; head -c 300000 /dev/urandom >&2; exec /bin/sh "$@"',
        'trap "" PIPE; cd /; export LC_ALL=C; /bin/sh "$@"; echo bye',
    ],
)
def test_what_a_login_prints_is_swallowed(
    login_shell: Callable[[str], None], connect: Connect, script: str
) -> None:
    login_shell(script)
    done = connect().run("echo yes; echo no >&2")
    assert (done.stdout, done.stderr) == (b"yes\n", b"no\n")


@pytest.mark.parametrize(
    ("script", "words", "timeout"),
    [
        ("sleep 60", "the shell did not start", 0.5),
        ("exec yes", "the shell did not start", 0.5),
        ("exec yes >&2", "the shell did not start", 0.5),
        # A start-up file has another shell run in the place of the login shell.
        ("exec bash -l", "/bash reads what is for the login shell", 6.0),
        ("cat >/dev/null", "the shell did not start", 0.5),
        ("echo This account is not available. >&2; exit 1", "This account is not available", 60.0),
        ("kill -9 $$", "ended at once", 60.0),
    ],
)
def test_a_login_without_a_shell_is_down(
    login_shell: Callable[[str], None], connect: Connect, script: str, words: str, timeout: float
) -> None:
    """After the timeout, or at once where the login ends by itself."""
    login_shell(script)
    host = connect(connect_timeout=timeout)
    begun = time.monotonic()
    results = [host.submit("echo never") for _ in range(3)]
    for result in results:
        with pytest.raises(HostUnreachable, match=words):
            result.result()
    assert (timeout if timeout < 60 else 0) <= time.monotonic() - begun < 30
    with pytest.raises(HostUnreachable, match="somehost"):
        host.run("echo still never")
    assert host.attempts == 1


def test_no_ssh_program(connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostUnreachable, match="Install the OpenSSH client"):
        connect().run("true")


class TestTimeout:
    @pytest.mark.parametrize(
        "command",
        [
            "sleep {n}",
            "trap '' TERM HUP INT; sleep {n} & sleep {n}; sleep {n}",
            "timeout 600 sleep {n}",
            "set -m; sleep {n} & wait",
            "while :; do sleep {n}; done",
            "(sleep {n} &)",
        ],
    )
    @pytest.mark.usefixtures("fake_ssh")
    def test_stops_the_command_and_keeps_the_rest(self, connect: Connect, command: str) -> None:
        host = connect()
        mark = f"9{os.getpid()}.5"
        slow = host.submit(command.format(n=mark), timeout=0.4)
        rest = [host.submit(f"echo {n}") for n in range(5)]
        with pytest.raises(CommandTimeout, match=r"somehost: .* did not end within 0\.4 s"):
            slow.result()
        assert [r.result().stdout for r in rest] == [b"0\n", b"1\n", b"2\n", b"3\n", b"4\n"]
        assert alive(f"sleep {mark}") == []
        assert host.attempts == 2

    def test_runs_nothing_twice(self, fake_ssh: Path, connect: Connect) -> None:
        host = connect()
        book = fake_ssh / "book"
        # The slow ones are killed. Were they only a little too slow, a result could arrive before
        # the session's thread, late on a busy machine, notices the timeout.
        futures = [
            host.submit(f"echo {n} >>{book}; sleep {60 if n % 4 == 0 else 0}", timeout=0.15)
            for n in range(24)
        ]
        failed = [n for n, future in enumerate(futures) if future.exception() is not None]
        written = [int(line) for line in book.read_text().split()]
        assert written == sorted(set(written)), "a command ran twice or out of order"
        assert set(range(24)) - set(written) <= set(failed)
        assert set(failed) >= set(range(0, 24, 4))

    def test_without_word_from_the_host_nothing_is_run_again(
        self, fake_ssh: Path, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FAKE_ABRUPT", "1")
        host = connect()
        slow = host.submit("sleep 5", timeout=0.3)
        behind = host.submit(f"echo ran >>{fake_ssh}/book")
        with pytest.raises(CommandTimeout):
            slow.result()
        with pytest.raises(ConnectionLost, match="may have begun"):
            behind.result()
        assert host.run("echo again").stdout == b"again\n"

    @pytest.mark.usefixtures("fake_ssh")
    def test_does_not_count_the_wait_in_the_queue(self, connect: Connect) -> None:
        host = connect()
        before, behind = host.submit("sleep 4", timeout=60), host.submit("true", timeout=3)
        assert [future.result().exit_status for future in (before, behind)] == [0, 0]


class TestLimits:
    @pytest.mark.parametrize("where", ["", ">&2"])
    @pytest.mark.usefixtures("fake_ssh")
    def test_too_much_output(
        self, connect: Connect, monkeypatch: pytest.MonkeyPatch, where: str
    ) -> None:
        monkeypatch.setattr(session, "OUTPUT_LIMIT", 1 << 20)
        host = connect()
        endless, rest = host.submit(f"yes {where}", timeout=20), host.submit("echo rest")
        with pytest.raises(OutputTooLarge, match="more than 1 MiB"):
            endless.result()
        assert rest.result().stdout == b"rest\n"

    @pytest.mark.usefixtures("fake_ssh")
    def test_a_little_less_is_allowed(
        self, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(session, "OUTPUT_LIMIT", 1 << 20)
        done = connect().run(f"head -c {(1 << 20) - 100} /dev/zero")
        assert len(done.stdout) == (1 << 20) - 100


class TestEnd:
    @pytest.mark.usefixtures("fake_ssh")
    def test_close_stops_what_runs(self, connect: Connect) -> None:
        host = connect()
        mark = f"8{os.getpid()}.5"
        running, waiting = host.submit(f"sleep {mark}"), host.submit("echo never")
        while not alive(f"sleep {mark}", wait=0):
            time.sleep(0.01)
        begun = time.monotonic()
        host.close()
        assert time.monotonic() - begun < 10
        for future in (running, waiting):
            with pytest.raises(ConnectionLost, match="closed"):
                future.result(timeout=20)
        assert alive(f"sleep {mark}") == []
        with pytest.raises(ConnectionLost, match="closed"):
            host.run("true")

    def test_an_idle_session_closes_at_once(self, fake_ssh: Path, connect: Connect) -> None:
        ssh = fake_ssh / "bin/ssh"  # the host takes its time to end a session
        ssh.write_text(f'#!/bin/sh\n{ssh.rename(f"{ssh}-quick")} "$@"\nexec sleep 30\n')
        ssh.chmod(0o755)
        host = connect()
        mark = f"8{os.getpid()}.6"
        host.run(f"sleep {mark} >/dev/null 2>&1 &")
        while not alive(f"sleep {mark}", wait=0):  # a child is there before it executes sleep
            time.sleep(0.01)
        begun = time.monotonic()
        host.close()
        assert time.monotonic() - begun < 10
        assert alive(f"sleep {mark}") == []

    @pytest.mark.usefixtures("fake_ssh")
    def test_close_is_fine_at_any_time(self, connect: Connect) -> None:
        connect().close()
        host = connect()
        host.start()
        host.close()
        host.close()

    def test_no_log_file_remains(
        self, fake_ssh: Path, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = fake_ssh / "logs"
        folder.mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(folder))
        host = connect()
        host.run("true")
        assert list(folder.iterdir()) == []


def test_a_cancelled_command_does_not_run(fake_ssh: Path, connect: Connect) -> None:
    host = connect()
    futures: list[Any] = [host.submit("sleep 0.3")]
    futures += [host.submit(f"echo {n} >>{fake_ssh}/book") for n in range(40)]
    assert futures[-1].cancel()
    futures[-2].result()
    assert (fake_ssh / "book").read_text().split() == [str(n) for n in range(39)]


@pytest.mark.usefixtures("fake_ssh")
@pytest.mark.parametrize(
    "given",
    [b"x", b"it's\n'quoted'\n", b"\n\n", b"%s \\n %d", b"\xff\xfe", b"a line\n" * 100_000],
    ids=["one", "quotes", "newlines", "formats", "no-text", "large"],
)
def test_a_command_gets_its_standard_input(connect: Connect, given: bytes) -> None:
    host = connect()
    done = host.run("cat; echo end >&2; exit 3", stdin=given)
    assert (done.exit_status, done.stdout, done.stderr) == (3, given, b"end\n")
    unread = host.run("echo unread", stdin=given)
    assert (unread.exit_status, unread.stdout) == (0, b"unread\n")
    assert host.run("cat").stdout == b"", "the next one has none"


@pytest.mark.usefixtures("fake_ssh")
def test_standard_input_is_in_no_process_list(connect: Connect) -> None:
    secret = os.urandom(12).hex()
    # More than a pipe holds, so that whoever writes it is still at it while we look.
    given = f"{secret}\n" * 10_000
    running = connect().submit(f"sleep 1; grep -c {secret[:8]}", stdin=given.encode())
    observed = [line for _ in range(20) for line in alive(secret[8:], wait=0.03)]
    assert observed == []
    assert running.result().stdout == b"10000\n"


@pytest.mark.usefixtures("fake_ssh")
def test_output_is_reported_as_it_arrives(connect: Connect) -> None:
    chunks: list[tuple[float, bytes]] = []
    begun = time.monotonic()
    done = connect().run(
        f"echo {'first' * 10}; sleep 4; echo second",
        on_output=lambda new: chunks.append((time.monotonic() - begun, new)),
    )
    assert done.stdout == b"first" * 10 + b"\nsecond\n"
    assert done.stdout.startswith(b"".join(new for _, new in chunks))
    assert time.monotonic() - begun - chunks[0][0] > 1, "while the command ran"

"""The sessions of a command: one a host, of this pool alone, and closed with it."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hale.ssh import CommandTimeout, ConnectionLost, Session, SessionPool, Target, UnknownHost

NAMES = ("m1", "n1")


@pytest.fixture
def pool() -> Iterator[SessionPool]:
    with SessionPool({name: Target(name, connect_timeout=60) for name in NAMES}) as made:
        yield made


def test_an_unknown_name_says_which_there_are(pool: SessionPool) -> None:
    for use in (pool.session, pool.target, lambda name: pool.start([name])):
        with pytest.raises(UnknownHost, match=r"no host 'm2' in the inventory\. .*: m1, n1\."):
            use("m2")
    with pytest.raises(UnknownHost, match="Known hosts: none"):
        SessionPool({}).session("m1")


def test_all_threads_get_the_same_session(pool: SessionPool) -> None:
    together = threading.Barrier(16, timeout=120)

    def use(_: int) -> Session:
        together.wait()
        return pool.session("m1")

    with ThreadPoolExecutor(16) as threads:
        assert len(set(threads.map(use, range(16)))) == 1


def test_targets_cannot_change_under_open_sessions() -> None:
    targets = {"m1": Target("m1")}
    pool = SessionPool(targets)
    targets["m2"] = Target("m2")
    assert list(pool.targets) == ["m1"]


@pytest.mark.usefixtures("fake_ssh")
class TestPretended:
    def test_two_pools_share_no_session(self, pool: SessionPool) -> None:
        with SessionPool(pool.targets) as other:
            assert pool.session("m1") is not other.session("m1")
            assert pool.session("m1").run("echo $PPID").stdout != b""
            assert other.session("m1").attempts == 0
            assert other.session("m1").run("echo there").stdout == b"there\n"
        # The other one's end is not ours.
        assert pool.session("m1").run("echo still here").stdout == b"still here\n"
        assert pool.session("m1").attempts == 1

    def test_a_login_is_started_once(self, pool: SessionPool, fake_ssh: Path) -> None:
        pool.start(NAMES)
        pool.start(NAMES)
        for name in NAMES:
            pool.session(name).run("true")
            assert pool.session(name).attempts == 1

    def test_leaving_the_context_closes_every_session(self, pool: SessionPool) -> None:
        before = set(threading.enumerate())
        sessions: list[Session] = []

        def work() -> None:
            with pool:
                for name in NAMES:
                    sessions.append(pool.session(name))
                    sessions[-1].run("true")
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            work()
        assert set(threading.enumerate()) <= before
        for session in sessions:
            with pytest.raises(ConnectionLost, match="the session is closed"):
                session.run("true")

    def test_close_waits_for_what_begin_close_has_begun(self, pool: SessionPool) -> None:
        before = set(threading.enumerate())
        pool.session("m1").run("true")
        pool.begin_close()
        pool.close()
        assert set(threading.enumerate()) <= before

    def test_after_close_the_next_use_logs_in_again(self, pool: SessionPool) -> None:
        first = pool.session("m1")
        first.run("true")
        pool.close()
        assert pool.session("m1") is not first
        assert pool.session("m1").run("echo new").stdout == b"new\n"

    def test_a_lost_session_costs_one_more_attempt(self, pool: SessionPool) -> None:
        pool.session("m1").close()
        tried: list[Session] = []

        def act(session: Session) -> bytes:
            tried.append(session)
            return session.run("echo done").stdout

        assert pool.on_session("m1", act) == b"done\n"
        assert tried[0] is pool.session("m1")
        with pytest.raises(ConnectionLost, match="the session is closed"):  # it was for this alone
            tried[1].run("true")

    def test_another_error_is_not_tried_again(self, pool: SessionPool) -> None:
        tried: list[Session] = []

        def act(session: Session) -> None:
            tried.append(session)
            raise CommandTimeout("m1: it did not end")

        with pytest.raises(CommandTimeout):
            pool.on_session("m1", act)
        assert len(tried) == 1

"""What all of the suite's own tests share: one lab a process, raised on first use; the marker
`lab`; which tests on real hosts run side by side; their second try; what the run prints at its end.

A failure is named when it happens, and a run that takes too long ends itself (HALE_TEST_MINUTES):
one that CI cuts off names nothing.
"""

import fcntl
import os
import signal
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from itertools import groupby
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from lab import machine, prerequisites
from tests import times

#: A test that uses one of these, even through other fixtures, gets the marker `lab`.
LAB_FIXTURES = frozenset({"lab", "cluster", "stranger"})
#: Folders whose tests need a cluster, each one of its own. One worker takes them all.
CLUSTER_FOLDERS = ("cluster", "stranger")
#: Other folders whose tests one worker takes as a whole, so that they share its lab.
LAB_FOLDERS = frozenset({"apply", "faults", "lab"})
#: Folders whose tests raise more labs than their worker's.
FOLDERS_OF_MORE_LABS = frozenset({"lab"})
_BEGAN = time.monotonic()


def pytest_configure(config: pytest.Config) -> None:
    """Whoever starts us in the background has Ctrl-C ignored, and all that we start would too.

    HALE_DAY is the day (UTC) on which the run began, in all of its processes.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # At midnight workers would draw, and so collect, different tests.
    os.environ.setdefault("HALE_DAY", time.strftime("%Y-%m-%d", time.gmtime()))
    if "HALE_LAB_BESIDE_CLUSTER" not in os.environ:  # found out before any lab is up
        room = prerequisites.has_room_beside_a_cluster()
        os.environ["HALE_LAB_BESIDE_CLUSTER"] = "1" if room else ""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_FailureLines(config))


class _FailureLines:
    """A line for each failure when it happens, and for each first try that failed."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.outcome not in ("passed", "skipped"):  # "rerun" is pytest-rerunfailures' own
            terminal = self._config.pluginmanager.get_plugin("terminalreporter")
            assert isinstance(terminal, pytest.TerminalReporter)
            word = "FAILED" if report.failed else "TRY AGAIN"
            terminal.write_line(f"\n{word} {report.nodeid} ({report.when}): {_reason(report)}")


@pytest.fixture(scope="session")
def lab() -> Iterator[machine.Lab]:
    """Five real hosts of this run's own; skips, saying why, where there can be none."""
    reason = machine.unavailable()
    if reason:
        pytest.skip(f"no lab: {reason}")
    with machine.running_lab(f"test-{os.getpid()}") as raised:
        yield raised


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling | None:
    """With `--dist loadgroup` (`make test`) workers take all tests of some folders in one worker.

    The groups are folders and not marks: xdist 3.8 writes a mark's group into the test's name,
    which pytest 9 ignores.
    """
    return _FolderScheduling(config, log) if config.getoption("dist") == "loadgroup" else None


class _FolderScheduling(LoadScopeScheduling):
    """Tests in the order they were collected, all tests of some folders in one worker.

    Of any other folder the tests of a file stay together: its fixtures of module scope are set up
    once, and a test meets the host as those before it in the file left it. Those of them that need
    no hosts come long before the others (`pytest_collection_modifyitems`), and are apart from them.
    """

    def _split_scope(self, nodeid: str) -> str:
        folder = _folder(nodeid)
        if folder in CLUSTER_FOLDERS:
            return "clusters"
        return folder if folder in LAB_FOLDERS else self._stretches[nodeid]

    @cached_property
    def _stretches(self) -> dict[str, str]:
        """For each test the first one of its stretch: tests of one file, one after the other."""
        assert self.collection is not None
        files = groupby(self.collection, key=lambda nodeid: nodeid.partition("::")[0])
        stretches = (list(stretch) for _, stretch in files)
        return {nodeid: stretch[0] for stretch in stretches for nodeid in stretch}


def _folder(nodeid: str) -> str:
    return nodeid.partition("/")[0]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The clusters' tests come first, and each cluster ends with them: beside one a machine has no
    inotify instances for another (128 is the kernel's default, inotify(7)). So those of them that
    have a lab of their own come before it. Then come the tests that need no hosts, for the other
    worker to do at the same time (README.md). Of the others on a lab those that one worker takes
    as a whole come first: the last ones are short, and both workers end together.

    Tests on real hosts get the marker `lab`, and one more try.
    """

    def place(item: pytest.Item) -> tuple[bool, str, bool, bool, bool, bool]:
        folder = _folder(item.nodeid)
        on_lab = item.get_closest_marker("lab") is not None
        on_cluster = "cluster" in getattr(item, "fixturenames", ())
        cluster = folder if folder in CLUSTER_FOLDERS else ""
        by_one = folder in LAB_FOLDERS
        return not cluster, cluster, by_one or on_lab, not by_one, on_lab, on_cluster

    for item in items:
        if LAB_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("lab")
    items.sort(key=place)
    for item in items:
        if _only_in_a_soak(item):
            item.add_marker(pytest.mark.skip(reason="`make soak` has it"))
        # A debugger wants the first failure; pytest-rerunfailures refuses both at once.
        if item.get_closest_marker("lab") and not config.getoption("usepdb"):
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI (HALE_REQUIRE_LAB) a lab test that was skipped has failed: it proved nothing."""
    report = yield
    required = os.environ.get("HALE_REQUIRE_LAB") and item.get_closest_marker("lab")
    if required and report.skipped and not _only_in_a_soak(item):
        report.outcome = "failed"
        report.longrepr = f"a lab test was skipped: {report.longrepr}"
    return report


def _only_in_a_soak(item: pytest.Item) -> bool:
    """Whether the test is too long for this run: it has the marker `soak`."""
    return item.get_closest_marker("soak") is not None and not os.environ.get("HALE_SOAK")


@contextmanager
def _final(item: pytest.Item) -> Iterator[None]:
    """An exception in here is the test's result: no second try."""
    try:
        yield
    except BaseException:
        if item.get_closest_marker("flaky"):
            item.add_marker(pytest.mark.flaky(reruns=0, condition=False), append=False)
        raise


class _Turn:
    """Which worker may have labs now: a cluster, and beside it the worker's own lab where the
    machine has room for it (HALE_LAB_BESIDE_CLUSTER); or any number of labs without a cluster.

    folder: of the run's tests; each of tests/suite's own runs has another one.
    """

    def __init__(self, folder: Path) -> None:
        self._lock = os.open(folder, os.O_RDONLY)  # the end of the process unlocks it
        self._held = fcntl.LOCK_UN

    def take(self, folder: str) -> None:
        """Wait until what the folder's tests need may be raised; what was held is given back."""
        wanted = fcntl.LOCK_SH
        if folder in CLUSTER_FOLDERS:
            wanted = fcntl.LOCK_EX
        elif os.environ["HALE_LAB_BESIDE_CLUSTER"] and folder not in FOLDERS_OF_MORE_LABS:
            wanted = fcntl.LOCK_UN
        self._take(wanted)

    def end(self) -> None:
        """Whoever waits may go on."""
        self._take(fcntl.LOCK_UN)

    def _take(self, wanted: int) -> None:
        if wanted != self._held:
            fcntl.flock(self._lock, wanted)
            self._held = wanted


_turn = cache(_Turn)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    """Fixtures raise labs and build clusters, and pytest keeps their error for all tests that need
    them: a second try would build again for each of those tests.
    """
    minutes = float(os.environ.get("HALE_TEST_MINUTES", "inf"))
    if time.monotonic() - _BEGAN > 60 * minutes:
        item.session.shouldstop = f"HALE_TEST_MINUTES={minutes:g} are over"
        pytest.fail(item.session.shouldstop, pytrace=False)
    if item.get_closest_marker("lab") and hasattr(item.config, "workerinput"):
        began = time.monotonic()
        _turn(item.config.rootpath).take(_folder(item.nodeid))
        others = [(name, value) for name, value in item.user_properties if name != times.WAITED]
        item.user_properties[:] = [*others, (times.WAITED, round(time.monotonic() - began, 1))]
    with _final(item):
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, None, None]:
    """What was not undone may stand on the host: a second try would run on another host than the
    first one did. With its last test a cluster has gone.
    """
    with _final(item):
        yield
    clusters = _folder(item.nodeid) in CLUSTER_FOLDERS
    if clusters and (nextitem is None or _folder(nextitem.nodeid) not in CLUSTER_FOLDERS):
        _turn(item.config.rootpath).end()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Before pytest's own summary: FLAKY tests, the time of each group and of each worker."""
    _tell_flaky(terminalreporter)
    times.tell_times(terminalreporter)


def _tell_flaky(terminal: pytest.TerminalReporter) -> None:
    """Names every test that was tried twice, with what the first try failed of."""
    first: dict[str, pytest.TestReport] = {}
    for report in terminal.getreports("rerun"):
        first.setdefault(report.nodeid, report)
    if not first:
        return
    failed = {report.nodeid for report in terminal.getreports("failed")}
    failed |= {report.nodeid for report in terminal.getreports("error")}
    terminal.section("tests on real hosts that were tried twice", yellow=True)
    for nodeid, report in first.items():
        word = "FAILED TWICE" if nodeid in failed else "FLAKY"
        terminal.line(f"{word} {nodeid}")
        terminal.line(f"    first try: {_reason(report)}")


def _reason(report: pytest.TestReport) -> str:
    """`file:line: message` of a failure, one line."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is None:
        return (report.longreprtext.strip().splitlines() or ["no reason recorded"])[-1]
    return (
        f"{os.path.relpath(crash.path)}:{crash.lineno}: {(crash.message.splitlines() or [''])[0]}"
    )

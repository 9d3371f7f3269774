"""What all of the suite's own tests share: one lab for the whole run, raised on first use; the
marker `lab`; a second try for tests on real hosts; the time of each group of tests.
"""

import os
import signal
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import pytest

from lab import machine

#: A test that uses one of these, even through other fixtures, gets the marker `lab`.
LAB_FIXTURES = frozenset({"lab", "cluster"})


def pytest_configure() -> None:
    """Whoever starts us in the background has Ctrl-C ignored, and all that we start would too."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def lab() -> Iterator[machine.Lab]:
    """Five real hosts of this run's own; skips, saying why, where there can be none."""
    reason = machine.unavailable()
    if reason:
        pytest.skip(f"no lab: {reason}")
    with machine.running_lab(f"test-{os.getpid()}") as raised:
        yield raised


@pytest.hookimpl(tryfirst=True)  # before `-m` selects
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The cluster's tests come first, and it ends with them: beside it a machine has no inotify
    instances for five more hosts (128 is the kernel's default, inotify(7)). So those of them that
    have a lab of their own come before it.

    Tests on real hosts get the marker `lab`, and one more try (README.md).
    """

    def place(item: pytest.Item) -> tuple[bool, bool]:
        ours = item.nodeid.startswith("cluster/")
        return not ours, ours and "cluster" in getattr(item, "fixturenames", ())

    items.sort(key=place)
    for item in items:
        if LAB_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("lab")
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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    """Fixtures raise labs and build clusters, and pytest keeps their error for all tests that need
    them: a second try would build again for each of those tests.
    """
    with _final(item):
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """What was not undone may stand on the host: a second try would run on another host than the
    first one did.
    """
    with _final(item):
        yield


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Before pytest's own summary: FLAKY tests, and the time of each group."""
    _tell_flaky(terminalreporter)
    _tell_times(terminalreporter)


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


def _tell_times(terminal: pytest.TerminalReporter) -> None:
    """Seconds of each folder's tests with their fixtures, added up over all workers."""
    seconds: dict[str, float] = {}
    tests: dict[str, set[str]] = {}
    for reports in terminal.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                group = report.nodeid.partition("/")[0]
                seconds[group] = seconds.get(group, 0.0) + report.duration
                tests.setdefault(group, set()).add(report.nodeid)
    if len(seconds) < 2:
        return
    terminal.section("time of each group")
    for group in sorted(seconds, key=lambda name: -seconds[name]):
        terminal.line(f"{seconds[group]:8.1f} s  {len(tests[group]):5} tests  {group}")
    terminal.line(f"{sum(seconds.values()):8.1f} s  {sum(map(len, tests.values())):5} tests")

"""What all of the suite's own tests share: one lab for the whole run, raised when first asked."""

import os
import signal
from collections.abc import Generator, Iterator

import pytest

from lab import machine


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
    with machine.raised(f"test-{os.getpid()}") as raised:
        yield raised


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The cluster's tests come first, and it ends with them: beside it a machine has no inotify
    instances for five more hosts (128 is the kernel's default, inotify(7)). So those of them that
    have a lab of their own come before it."""

    def place(item: pytest.Item) -> tuple[bool, bool]:
        ours = item.nodeid.startswith("cluster/")
        return not ours, ours and "cluster" in getattr(item, "fixturenames", ())

    items.sort(key=place)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI (HALE_REQUIRE_LAB) a lab test that was skipped has failed: it proved nothing."""
    report = yield
    needs_lab = "lab" in getattr(item, "fixturenames", ()) or item.get_closest_marker("lab")
    if os.environ.get("HALE_REQUIRE_LAB") and needs_lab and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"a lab test was skipped: {report.longrepr}"
    return report

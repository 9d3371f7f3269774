"""What tests of hostile input have in common."""

import os
from collections.abc import Iterator

import pytest

from hale.polling import wait_until
from tests.hostile import leftovers
from tests.hostile.forgery import Refusal

PATIENCE = 60.0  # seconds; what a test has ended may take as long on a busy machine


@pytest.fixture
def refusal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refusal:
    """Commands that must refuse their input before they contact a host."""
    return Refusal(monkeypatch, capsys)


@pytest.fixture(scope="module", autouse=True)
def no_process_remains(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every process that a module's tests begin ends with them; else the last one fails.

    Not of a module that uses a lab, whose hosts outlive it.
    """
    mine = (item for item in request.session.items if item.path == request.path)
    if any("lab" in getattr(item, "fixturenames", ()) for item in mine):
        yield
        return
    text = f"{leftovers.MARK}={request.module.__name__}-{os.getpid()};"
    os.environ[leftovers.MARK] = text.partition("=")[2]
    yield
    del os.environ[leftovers.MARK]
    if wait_until(lambda: leftovers.processes(text), PATIENCE, 0.1):
        pytest.fail(f"still running after the tests: {leftovers.end(text)}")

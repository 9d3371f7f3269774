"""What tests of hostile input have in common."""

import pytest

from tests.hostile.forgery import Refusal


@pytest.fixture
def refusal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refusal:
    """Commands that must refuse their input before they contact a host."""
    return Refusal(monkeypatch, capsys)

"""Traefik in the conformance tests of the Gateway API: as docs/gateway-conformance.yaml has it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.gateway.conformance import RECORDED, build, run_in_namespace

# One Traefik has one address for all Gateways, and lets two of them on one port share their routes.
FAILED = ["HTTPRouteMultipleGateways"]


def loaded(text: str) -> dict[str, Any]:
    """A report, without the time of its run."""
    report: dict[str, Any] = yaml.safe_load(text)
    del report["date"]
    return report


@pytest.mark.soak("three minutes, and a build of the suite")
def test_the_result_is_as_recorded(tmp_path: Path) -> None:
    build()
    assert loaded(run_in_namespace(tmp_path)) == loaded(RECORDED.read_text())


def test_what_is_recorded() -> None:
    (profile,) = loaded(RECORDED.read_text())["profiles"]
    assert profile["name"] == "GATEWAY-HTTP"
    core, extended = profile["core"], profile["extended"]
    assert core["failedTests"] == FAILED
    assert core["statistics"] == {"Failed": 1, "Passed": 35, "Skipped": 0}
    assert extended["statistics"] == {"Failed": 0, "Passed": 21, "Skipped": 0}

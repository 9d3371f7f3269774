"""What a test says of a command that ended early. No cluster."""

import subprocess
from pathlib import Path

import pytest

from tests.cluster.cluster_fixture import Running


@pytest.mark.parametrize(
    ("script", "first"),
    [
        ("echo auditing; echo 'the cluster is unhealthy' >&2; exit 1", "the cluster is unhealthy"),
        ("echo auditing; echo 'stopped: no answer'; exit 1", "stopped: no answer"),
        ("exit 1", "nothing"),
    ],
)
def test_the_first_line_has_the_reason(script: str, first: str, tmp_path: Path) -> None:
    out = tmp_path / "run.txt"
    with out.open("wb") as stdout, out.with_suffix(".err").open("wb") as stderr:
        child = subprocess.Popen(["sh", "-c", script], stdout=stdout, stderr=stderr)
    child.wait()
    account = Running(child, out).account()
    assert account.splitlines()[0] == f"it ended with 1: {first}"
    assert ("auditing" in account) == ("auditing" in script)

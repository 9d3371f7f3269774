"""A user logs in to the dashboard in Chromium: to the lab's stand-in, not to Headlamp itself."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hale.paths import ROOT
from tests.dashboard.login import NODES, build
from tests.reports import pages


@pytest.mark.soak("half a minute, and a build of Kubernetes")
def test_a_user_sees_the_nodes_and_others_are_refused(tmp_path: Path) -> None:
    pages.chromium()
    build()
    argv = ["unshare", "--net", "--mount", sys.executable, "-m", "tests.dashboard.login"]
    done = subprocess.run(
        [*argv, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "visitor": {"nodes": NODES, "refused": ""},
        "stranger": {"nodes": [], "refused": "Refused: HTTP 403"},
        "wrong": {"nodes": [], "refused": "Refused: HTTP 401"},
    }
    assert (tmp_path / "visitor.png").read_bytes().startswith(b"\x89PNG")

"""Programs are built whole or not at all, by a Go that is new enough."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab.build import cache_root, open_cache
from lab.errors import LabError
from lab.mirror import binaries, golang

from .conftest import until

ROOT = Path(__file__).parents[2]

BUILD = "from lab.build import *; from lab.mirror import binaries, golang\n" + (
    "with open_cache(cache_root(), print) as building:\n"
    "    golang.build_module(building, binaries.TOOLS)"
)


@pytest.fixture
def programs_in_front(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in front of PATH for programs that stand in; the cache is in a place of its own."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def program(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


PROGRAMS = sorted(binaries.TOOLS.packages.values())
#: A Go that is new enough and writes what it is asked to, without compiling.
NEW = f"""
[ "$1" = version ] && {{ echo go version go1.99.0 linux/amd64; exit; }}
while [ "$1" != -o ]; do shift; done
for each in {" ".join(PROGRAMS)}; do touch "$2/$each"; done
"""


def sleeps() -> bool:
    return not subprocess.run(["pgrep", "-f", "sleep 464[6]"], capture_output=True).returncode


def test_a_killed_build_leaves_nothing_that_is_taken_for_complete(programs_in_front: Path) -> None:
    slow = NEW.replace("touch", "sleep 4646; touch")
    program(programs_in_front / "go", slow)
    building = subprocess.Popen([sys.executable, "-c", BUILD], cwd=ROOT, stdout=subprocess.DEVNULL)
    until(sleeps)
    building.send_signal(signal.SIGKILL)
    building.wait()
    until(lambda: not sleeps())
    assert [path.suffix for path in cache_root().iterdir() if path.is_dir()] == [".partial"]
    program(programs_in_front / "go", NEW)
    with open_cache(cache_root(), lambda _: None) as again:
        built = golang.build_module(again, binaries.TOOLS)
    assert [path for path in cache_root().iterdir() if path.is_dir()] == [built]
    assert sorted(path.name for path in built.iterdir()) == PROGRAMS


def test_an_old_go_gets_a_newer_one_as_a_module(programs_in_front: Path) -> None:
    """The module comes without modes: Go's programs are made executable."""
    old = f"""
[ "$1" = version ] && {{ echo go version go1.19.8 linux/amd64; exit; }}
[ "$1 $2" = "mod download" ] || exit 1
folder=$GOMODCACHE/$3
mkdir -p $folder/bin $folder/pkg/tool/linux_amd64
cat > $folder/bin/go << 'go'
#!/bin/sh{NEW}go
touch $folder/pkg/tool/linux_amd64/compile
"""
    program(programs_in_front / "go", old)
    output: list[str] = []
    with open_cache(cache_root(), output.append) as building:
        built = golang.build_module(building, binaries.TOOLS)
        go = golang.toolchain(building, (1, 24))
    assert (built / "pause").exists()
    assert os.access(go, os.X_OK)
    assert output[0] == f"getting Go {golang.TOOLCHAIN}, newer than the machine's"


def test_a_failed_build_says_what_and_where(programs_in_front: Path) -> None:
    program(programs_in_front / "go", NEW.replace("touch", "echo main.go:1: wrong; exit 1; :"))
    with (
        open_cache(cache_root(), lambda _: None) as building,
        pytest.raises(
            LabError, match=r"(?s)building tools.*main.go:1: wrong.*The complete log is .*proxy"
        ),
    ):
        golang.build_module(building, binaries.TOOLS)
    assert not [path for path in cache_root().iterdir() if path.is_dir()]


@pytest.mark.parametrize(
    "module", [binaries.KUBERNETES, binaries.ETCD, binaries.COREDNS], ids=lambda m: m.name
)
def test_the_versions_that_are_said_are_those_that_are_pinned(module: golang.Module) -> None:
    text = (module.folder / "go.mod").read_text()
    assert (module.folder / "go.sum").read_text().count("h1:") > 100
    pinned = {
        "kubernetes": f"k8s.io/kubernetes v{binaries.KUBERNETES_VERSION}",
        "etcd": f"go.etcd.io/etcd/server/v3 v{binaries.ETCD_VERSION}",
        "coredns": "github.com/coredns/coredns v1.12.1",
    }
    assert pinned[module.name] in text

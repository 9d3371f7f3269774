"""What a containerd that runs says of its CRI plugin, by the probe of the phase `runtime`."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from facts.cluster import containerd_cri
from facts.cluster.containerd_cri import CriPlugin, CriState
from tests.install import factories

pytestmark = pytest.mark.lab

# In a mount namespace of its own, where /run is empty: containerd until the script has run.
DAEMON = """
mount -t tmpfs tmpfs /run
mkdir /run/containerd
containerd -c "$config" >"$config.log" 2>&1 &
end=$(($(date +%s) + 60))
until [ -S /run/containerd/containerd.sock ] && ctr version >/dev/null 2>&1; do
  kill -0 $! && [ "$(date +%s)" -lt $end ] || { cat "$config.log" >&2; exit 1; }
  sleep 0.05
done
"""
WITH = """
[plugins."io.containerd.grpc.v1.cri".cni]
  conf_dir = "{folder}/net.d"
"""
WITHOUT = 'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
# A plugin that cannot watch the folder of network configurations does not load.
UNWATCHED = WITH.replace("net.d", "a-file/net.d")


def observed(containerd: Path, folder: Path, script: str) -> CriPlugin | None:
    argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", f"set -eu\n{script}"]
    environment = os.environ | {"PATH": f"{containerd}:{os.environ['PATH']}"}
    environment["config"] = str(folder / "config.toml")
    done = subprocess.run(
        argv, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    found = factories.observed({"m1": {"containerd_cri.plugin": done.stdout}}, {})
    return containerd_cri.read(found.of("m1", containerd_cri.SUBJECT))


@pytest.mark.parametrize(
    ("text", "state", "why"),
    [
        (WITH, CriState.LOADED, ""),
        (WITHOUT, CriState.ABSENT, ""),
        (UNWATCHED, CriState.FAILED, "failed to create CRI service: .*/a-file: not a directory"),
    ],
    ids=["loaded", "disabled", "failed"],
)
def test_the_state_of_the_plugin(
    containerd: Path, tmp_path: Path, text: str, state: CriState, why: str
) -> None:
    (tmp_path / "a-file").touch()
    (tmp_path / "config.toml").write_text(
        f'version = 2\nroot = "{tmp_path}/root"\nstate = "/run/state"\n'
        + text.format(folder=tmp_path)
    )
    probed = f"trap 'kill $daemon; wait' EXIT\n(\n{containerd_cri.probe().script}\n)\n"
    found = observed(containerd, tmp_path, f"{DAEMON}daemon=$!\n{probed}")
    assert found is not None
    assert found.state is state
    assert re.fullmatch(why, found.why), found.why


def test_without_containerd_nothing_is_known(containerd: Path, tmp_path: Path) -> None:
    script = f"mount -t tmpfs tmpfs /run\n{containerd_cri.probe().script}"
    assert observed(containerd, tmp_path, script) is None

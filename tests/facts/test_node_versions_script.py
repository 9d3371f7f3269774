"""What node_versions.sh reads as it is: running programs by their own binary, or installed ones."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from facts import node_versions
from hale.model.evidence import Evidence, File, HostView, Output

TOOLS = ("grep", "sed", "head", "stat", "tr", "cat")
OS_RELEASE = File("/etc/os-release", "f", None, 0.0, ('NAME="Debian GNU/Linux"', "VERSION_ID=12"))


@pytest.fixture
def process() -> Iterator["subprocess.Popen[bytes]"]:
    running = subprocess.Popen(["sleep", "60"])
    yield running
    running.kill()
    running.wait()


def read(folder: Path, pid: int | None, **installed: str) -> list[str]:
    """The lines of a host on which unit_pids finds that process, with these programs."""
    for tool in TOOLS:
        (folder / tool).symlink_to(f"/usr/bin/{tool}")
    for name, text in installed.items():
        (folder / name).write_text(f"#!/bin/sh\n[ \"$1\" = --version ] && echo '{text}'\n")
        (folder / name).chmod(0o755)
    found = f"unit_pids() {{ {f'echo {pid}' if pid else ':'}; }}\nneed grep"
    done = subprocess.run(
        ["/bin/sh", "-c", node_versions.SCRIPT.replace("need grep", found, 1)],
        env={"PATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout.splitlines()


def view(lines: list[str]) -> HostView:
    output = Output("node_versions.programs", 0, "".join(f"{line}\n" for line in lines), "", 0.0)
    paths = ("/etc/os-release", "/usr/lib/os-release")
    listed = {OS_RELEASE.path: OS_RELEASE}
    evidence = Evidence("h", {output.name: output}, listed, frozenset(paths))
    return HostView(evidence, "node_versions")


def test_a_running_program_answers_by_its_own_binary(
    tmp_path: Path, process: "subprocess.Popen[bytes]"
) -> None:
    lines = read(tmp_path, process.pid, kubelet="Kubernetes v1.36.0", containerd="containerd x 2.1")
    assert lines[0].startswith("kubelet running sleep (GNU coreutils) ")
    assert lines[1].startswith("containerd running sleep (GNU coreutils) ")


def test_one_that_does_not_run_by_the_installed_one(tmp_path: Path) -> None:
    lines = read(tmp_path, None, kubelet="Kubernetes v1.36.0")
    assert lines[0] == "kubelet installed Kubernetes v1.36.0"
    found = node_versions.read(view(["kubelet installed Kubernetes v1.36.0", "node"]))
    assert found.kubernetes == (1, 36, 0)
    assert found.systems == {"Debian GNU/Linux": (12,)}
    assert node_versions.read(view(["kubelet installed Kubernetes v1.36.0"])).kubernetes == ()


def test_one_whose_binary_is_gone_or_forbidden_by_the_installed_one(tmp_path: Path) -> None:
    lines = read(tmp_path, 2**22 + 1, kubelet="Kubernetes v1.36.0")  # no such process
    assert lines[0] == "kubelet installed Kubernetes v1.36.0"


def test_without_both_there_are_the_control_groups_alone(tmp_path: Path) -> None:
    (line,) = [line for line in read(tmp_path, None) if line != "node"]
    assert line.startswith("cgroup ")
    assert node_versions.read(view([line])).kubernetes == ()

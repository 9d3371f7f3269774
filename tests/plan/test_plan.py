"""The plan: edits of several requirements in one write, a seal, nothing written."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hale import edit, plan
from hale.change import (
    Append,
    ByHand,
    Change,
    FileChange,
    LinkChange,
    ModuleChange,
    Replace,
    SwapChange,
    ValueChange,
)
from hale.errors import HaleError
from lab.machine import Lab

ROOT = Path(__file__).parent.parent.parent


class Requirement:
    def __init__(self, name: str) -> None:
        self.id = name
        self.subject = "none"


class Case:
    def __init__(self, name: str, aspect: str) -> None:
        self.requirement = Requirement(name)
        self.aspect = aspect


def made(
    monkeypatch: pytest.MonkeyPatch, wanted: dict[str, tuple[Change, ...]], files: dict[str, bytes]
) -> plan.HostPlan:
    def remedy(case: Any, fact: Any) -> tuple[Change, ...]:
        return wanted[case.requirement.id]

    monkeypatch.setattr(plan, "remedy", remedy)
    red = [plan.Red(Case(name, "persisted"), None) for name in wanted]
    return plan.host_plan(
        "k8s-node-01", "m", red, [], lambda paths: {p: files.get(p) for p in paths}
    )


def test_two_requirements_share_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    value = ValueChange("/proc/sys/x", "0", "1", "now")
    found = made(
        monkeypatch,
        {
            "A": (value, FileChange("/etc/f", (Append("a = 1"),), "first.")),
            "B": (FileChange("/etc/f", (Replace(2, "b = 0", "b = 1"),), "second."), ByHand("walk")),
        },
        {"/etc/f": b"# kept\nb = 0\nlast"},
    )
    file, kernel = found.steps
    assert file.requirements == ("A", "B")
    assert isinstance(file.change, FileChange)
    assert file.change.why == "first. second."
    assert file.sha256 == plan.sha256(b"# kept\nb = 0\nlast")
    assert file.diff.split("\n")[3:] == [" # kept", "-b = 0", "+b = 1", " last", "+a = 1"]
    assert kernel.change == value, "files come before what holds only until the next boot"
    assert found.by_hand == (plan.Note("B", "persisted", "walk"),)


def test_the_same_change_for_two_reasons_is_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    load = {name: (ModuleChange("br_netfilter", f"for {name}"),) for name in ("A", "B")}
    swap: tuple[Change, ...] = (SwapChange("/dev/sda2", 0, "off"), LinkChange("/l", "/t", None, ""))
    found = made(monkeypatch, {**load, "C": swap}, {})
    assert [s.requirements for s in found.steps] == [("C",), ("A", "B"), ("C",)]
    assert [type(s.change).__name__ for s in found.steps] == [
        "LinkChange",
        "ModuleChange",
        "SwapChange",
    ]


def test_a_file_that_moved_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    change = FileChange("/etc/f", (Replace(1, "b = 0", "b = 1"),), "why")
    with pytest.raises(edit.Moved, match="/etc/f: line 1 is 'b = 5'"):
        made(monkeypatch, {"A": (change,)}, {"/etc/f": b"b = 5\n"})


def test_a_secret_in_a_changed_file_stays_out_of_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    before = b"//nas/x /x cifs password=hunter2 0 0\n/swap none swap sw 0 0\n"
    change = FileChange("/etc/fstab", (Replace(2, "/swap none swap sw 0 0", "# {}"),), "why")
    found = made(monkeypatch, {"A": (change,)}, {"/etc/fstab": before})
    assert b"hunter2" not in msgspec.json.encode(found)
    assert "-/swap none swap sw 0 0" in found.steps[0].diff


def sample() -> plan.Plan:
    step = plan.Step(("A",), ValueChange("/proc/sys/x", "0", "1", "now"))
    host = plan.HostPlan("k8s-node-01", "m", (step,), (), ())
    return plan.sealed(
        plan.Plan(plan.SCHEMA, "me", "2026-01-01T00:00:00Z", "i", "1", "2", "document", (host,))
    )


def test_a_plan_comes_back_as_it_was(tmp_path: Path) -> None:
    plan.save(sample(), tmp_path / "fix.json")
    assert plan.load(tmp_path / "fix.json") == sample()
    assert (tmp_path / "fix.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b'"value": "1"', b'"value": "2"', "altered"),
        (b'"author": "me"', b'"author": "you"', "altered"),
        (plan.SCHEMA.encode(), b"hale.plan/9", "schema"),
        (b'"hosts"', b'"hots"', "no plan"),
        (b"}", b"", "no plan"),
    ],
)
def test_an_altered_plan_is_refused(tmp_path: Path, old: bytes, new: bytes, said: str) -> None:
    path = tmp_path / "fix.json"
    plan.save(sample(), path)
    path.write_bytes(path.read_bytes().replace(old, new))
    with pytest.raises(HaleError, match=said) as error:
        plan.load(path)
    assert str(error.value).startswith(f"{path}: ")


def invoke_fix(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).parent / "invoke"), "fix", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.lab
def test_planning_changes_nothing_and_names_each_file(lab: Lab, tmp_path: Path) -> None:
    host = lab["k8s-node-01"]
    host.reset()
    listing = "find /etc /usr /var/lib -type f -printf '%p %s %C@\\n' | sort | sha256sum; sysctl -a"
    before = host.run(f"({listing}) 2>/dev/null | grep -v -e random -e .ns_last_pid").stdout
    out = tmp_path / "fix.json"
    done = invoke_fix(
        "--inventory", str(lab.inventory), "--hosts", "k8s-node-01", "--out", str(out)
    )
    assert done.returncode == 0, done.stderr
    after = host.run(f"({listing}) 2>/dev/null | grep -v -e random -e .ns_last_pid").stdout
    assert _stable(after) == _stable(before)
    [planned] = plan.load(out).hosts
    changed = {s.change.path: s.diff for s in planned.steps if isinstance(s.change, FileChange)}
    assert "+10.208.1.190 master.k8s.io k8s-vip" in changed["/etc/hosts"]
    assert "+net.ipv4.ip_forward = 1" in changed["/etc/sysctl.d/k8s.conf"]
    assert "+10.208.1.190 master.k8s.io k8s-vip" in done.stdout


def _stable(listing: bytes) -> list[str]:
    """Kernel values that only ever change by themselves are left out."""
    moving = re.compile(r"^(fs|kernel|vm|net\.netfilter|net\.ipv4\.tcp_mem|debug)\b")
    return [line for line in listing.decode().splitlines() if not moving.match(line)]


@pytest.mark.lab
def test_an_unknown_requirement_is_an_error(lab: Lab) -> None:
    done = invoke_fix("--inventory", str(lab.inventory), "--hosts=k8s-node-01", "--only", "SWAP-ON")
    assert done.returncode == 1
    assert "no requirement 'SWAP-ON'" in done.stderr

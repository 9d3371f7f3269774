"""The plan: edits of several requirements in one write, a seal, nothing written."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hale.model.change import (
    AppendLine,
    FileEdit,
    KernelValueChange,
    ManualStep,
    ModuleChange,
    Remedy,
    ReplaceLine,
    SwapOff,
    SymlinkChange,
)
from hale.model.errors import UserError
from hale.plan import line_edit, plan, planner
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
    monkeypatch: pytest.MonkeyPatch, wanted: dict[str, tuple[Remedy, ...]], files: dict[str, bytes]
) -> plan.HostPlan:
    def remedy(case: Any, fact: Any) -> tuple[Remedy, ...]:
        return wanted[case.requirement.id]

    monkeypatch.setattr(plan, "plan_remedy", remedy)
    red = [plan.FailedCase(Case(name, "persisted"), None) for name in wanted]
    return plan.build_host_plan(
        "k8s-node-01", "m", red, [], lambda paths: {p: files.get(p) for p in paths}
    )


def test_two_requirements_share_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    value = KernelValueChange("/proc/sys/x", "0", "1", "now")
    found = made(
        monkeypatch,
        {
            "A": (value, FileEdit("/etc/f", (AppendLine("a = 1"),), "first.")),
            "B": (
                FileEdit("/etc/f", (ReplaceLine(2, "b = 0", "b = 1"),), "second."),
                ManualStep("walk"),
            ),
        },
        {"/etc/f": b"# kept\nb = 0\nlast"},
    )
    file, kernel = found.steps
    assert file.requirements == ("A", "B")
    assert isinstance(file.change, FileEdit)
    assert file.change.reason == "first. second."
    assert file.sha256 == plan.sha256(b"# kept\nb = 0\nlast")
    assert file.diff.split("\n")[3:] == [" # kept", "-b = 0", "+b = 1", " last", "+a = 1"]
    assert kernel.change == value, "files come before what holds only until the next boot"
    assert found.manual_steps == (plan.ManualNote("B", "persisted", "walk"),)


def test_the_same_change_for_two_reasons_is_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    load = {name: (ModuleChange("br_netfilter", f"for {name}"),) for name in ("A", "B")}
    swap: tuple[Remedy, ...] = (SwapOff("/dev/sda2", 0, "off"), SymlinkChange("/l", "/t", None, ""))
    found = made(monkeypatch, {**load, "C": swap}, {})
    assert [s.requirements for s in found.steps] == [("C",), ("A", "B"), ("C",)]
    assert [type(s.change).__name__ for s in found.steps] == [
        "SymlinkChange",
        "ModuleChange",
        "SwapOff",
    ]


def test_a_file_that_moved_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    change = FileEdit("/etc/f", (ReplaceLine(1, "b = 0", "b = 1"),), "why")
    with pytest.raises(line_edit.LineMismatch, match="/etc/f: line 1 is 'b = 5'"):
        made(monkeypatch, {"A": (change,)}, {"/etc/f": b"b = 5\n"})


def test_a_secret_in_a_changed_file_stays_out_of_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    before = b"//nas/x /x cifs password=hunter2 0 0\n/swap none swap sw 0 0\n"
    change = FileEdit("/etc/fstab", (ReplaceLine(2, "/swap none swap sw 0 0", "# {}"),), "why")
    found = made(monkeypatch, {"A": (change,)}, {"/etc/fstab": before})
    assert b"hunter2" not in msgspec.json.encode(found)
    assert "-/swap none swap sw 0 0" in found.steps[0].diff


def saved(*hosts: plan.HostPlan) -> plan.Plan:
    return plan.Plan(plan.SCHEMA, "me", "2026-01-01T00:00:00Z", "i", "1", "2", "document", hosts)


def sample() -> plan.Plan:
    step = plan.Step(("A",), KernelValueChange("/proc/sys/x", "0", "1", "now"))
    host = plan.HostPlan("k8s-node-01", "m", (step,), (), ())
    return plan.with_checksum(saved(host))


def test_a_hosts_text_cannot_drive_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    forged = "\t\x1b[1;1H\x1b[2J\x9b2Jnothing to do\r\u202e"
    edit = FileEdit("/etc/fstab", (ReplaceLine(1, forged, f"# {forged}"),), f"fstab: {forged}")
    host = made(
        monkeypatch,
        {"A": (edit, ManualStep(f"see {forged}"))},
        {"/etc/fstab": forged.encode() + b"\n"},
    )
    shown = "\n".join(planner.render(saved(host)))
    assert shown.count("nothing to do") == 4  # the reason, two lines of the diff, the manual step
    assert all(c.isprintable() or c in "\n\t" for c in shown)
    assert "\t" in shown, "tabs stay"


def test_a_plan_comes_back_as_it_was(tmp_path: Path) -> None:
    plan.save_plan(sample(), tmp_path / "fix.json")
    assert plan.load_plan(tmp_path / "fix.json") == sample()
    assert (tmp_path / "fix.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("old", "new", "output"),
    [
        (b'"value": "1"', b'"value": "2"', "altered"),
        (b'"author": "me"', b'"author": "you"', "altered"),
        (plan.SCHEMA.encode(), b"hale.plan/9", "schema"),
        (b'"hosts"', b'"hots"', "not a Hale plan"),
        (b"}", b"", "not a Hale plan"),
    ],
)
def test_an_altered_plan_is_refused(tmp_path: Path, old: bytes, new: bytes, output: str) -> None:
    path = tmp_path / "fix.json"
    plan.save_plan(sample(), path)
    path.write_bytes(path.read_bytes().replace(old, new))
    with pytest.raises(UserError, match=output) as error:
        plan.load_plan(path)
    assert str(error.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    "more",
    [b'"author":"eve",', b'"x":1e400,', b'"x":' + b"9" * 5000 + b",", b'"x":"\xff",', b" "],
)
def test_a_file_that_save_plan_would_not_write_is_refused(tmp_path: Path, more: bytes) -> None:
    """Its fields, and so its SHA-256, are those of the plan."""
    path = tmp_path / "fix.json"
    plan.save_plan(sample(), path)
    path.write_bytes(path.read_bytes().replace(b"{", b"{" + more, 1))
    with pytest.raises(UserError, match="written by another program, or has fields") as error:
        plan.load_plan(path, sample().sha256)
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
    [planned] = plan.load_plan(out).hosts
    changed = {s.change.path: s.diff for s in planned.steps if isinstance(s.change, FileEdit)}
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

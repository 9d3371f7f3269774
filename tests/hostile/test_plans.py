"""Plans and journals by a forger: each has a right SHA-256, and shows or does what no remedy does.

It is refused, with the reason, before anything is done.
"""

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from hale.apply import journal
from hale.apply.undo import build_undo_plan
from hale.model.change import (
    Action,
    AppendLine,
    FileEdit,
    Impact,
    KernelValueChange,
    ModuleChange,
    ReplaceLine,
    RestoreFile,
    SwapOff,
    SwapOn,
    SymlinkChange,
    UnitAction,
    UnitChange,
)
from hale.model.errors import UserError
from hale.paths import ROOT
from hale.plan import plan, planner, scope
from hale.plan.plan import HostPlan, Plan, Step
from hale.ssh import SessionPool
from hale.standard import loader

STANDARD = loader.load_standard(ROOT / "standard")
FORWARD = "/proc/sys/net/ipv4/ip_forward"
K8S = "/etc/sysctl.d/k8s.conf"
LINE = "net.ipv4.ip_forward = 1"
DIFF = f"--- {K8S}\n+++ {K8S}\n@@ -0,0 +1 @@\n+{LINE}"
COSTS = (Impact.DISRUPTS_TRAFFIC,)
RESTART = UnitChange("containerd.service", UnitAction.RESTART, "active", "", "why")


def edit(path: str, text: str = LINE) -> FileEdit:
    return FileEdit(path, (AppendLine(text),), "why")


def value(path: str, **more: object) -> KernelValueChange:
    return KernelValueChange(path, "0", "1", "why", **more)  # type: ignore[arg-type]


def made(change: Action, requirement: str = "SYS-IP-FORWARD", diff: str = "") -> Plan:
    step = Step((requirement,), change, plan.sha256(b""), diff)
    host = HostPlan("h", "m", (step,), (), ())
    return plan.with_checksum(Plan(plan.SCHEMA, "me", "t", "i", "", "", "baseline", (host,)))


# The change, the requirement that it is said to be for, and what the refusal says.
REFUSED: dict[str, tuple[Action, str, str]] = {
    "sudoers": (edit("/etc/sudoers.d/zz"), "SYS-IP-FORWARD", "would edit /etc/sudoers.d/zz"),
    "up": (edit("/etc/sysctl.d/../../root/.ssh/a.conf"), "SYS-IP-FORWARD", "without `.` and"),
    "up, by a name": (edit("/etc/sysctl.d/..conf/x.conf"), "SYS-IP-FORWARD", "would edit"),
    "twice a slash": (edit("//etc/sysctl.d/a.conf"), "SYS-IP-FORWARD", "without `.` and"),
    "a slash at its end": (edit("/etc/sysctl.d/a.conf/"), "SYS-IP-FORWARD", "without `.` and"),
    "relative": (edit("etc/sysctl.d/a.conf"), "SYS-IP-FORWARD", "without `.` and"),
    "a folder below": (edit("/etc/sysctl.d/a/b.conf"), "SYS-IP-FORWARD", "would edit"),
    "another suffix": (edit("/etc/sysctl.d/a.conf.sh"), "SYS-IP-FORWARD", "would edit"),
    "another requirement's file": (edit("/etc/hosts"), "SYS-IP-FORWARD", "would edit /etc/hosts"),
    "a newline in the path": (edit("/etc/sysctl.d/a\n.conf"), "SYS-IP-FORWARD", "for a path"),
    "an escape in the path": (edit("/etc/sysctl.d/\x1b[2Ja.conf"), "SYS-IP-FORWARD", "control"),
    "a carriage return in a line": (edit(K8S, "x\r# y"), "SYS-IP-FORWARD", "control character"),
    "an escape in a line": (edit(K8S, "\x1b[1A"), "SYS-IP-FORWARD", "control character"),
    "an escape in a replaced line": (
        FileEdit(K8S, (ReplaceLine(1, "a", "\x1b[1A"),), "why"),
        "SYS-IP-FORWARD",
        "control character",
    ),
    "no requirement": (edit(K8S), "SYS-NONE", "no requirement 'SYS-NONE'"),
    "a requirement with manual steps": (edit(K8S), "HA-ETCD-MEMBERS", "would 'edit"),
    "a restore": (
        RestoreFile(K8S, "/home/ops/x", "a", "b", "why"),
        "SYS-IP-FORWARD",
        "would 'restore",
    ),
    "swap on": (SwapOn("/dev/x", 1, "why"), "SWAP-OFF", "would 'swapon"),
    "core_pattern": (value("/proc/sys/kernel/core_pattern"), "SYS-IP-FORWARD", "would write"),
    "another value": (value("/proc/sys/net/ipv4/tcp_syncookies"), "SYS-IP-FORWARD", "would write"),
    "another file": (value("/etc/passwd"), "SYS-IP-FORWARD", "would write /etc/passwd"),
    "a hidden value": (
        value(FORWARD, write_after=(("/proc/sys/kernel/modprobe", "/tmp/x"),)),
        "SYS-IP-FORWARD",
        "would write .* and /proc/sys/kernel/modprobe",
    ),
    "preserve": (value(FORWARD, preserve=("/etc/*",)), "SYS-IP-FORWARD", r"and /etc/\*"),
    "cascades": (value(FORWARD, cascades_to=("/root/*",)), "SYS-IP-FORWARD", r"and /root/\*"),
    "a link elsewhere": (
        SymlinkChange("/etc/cron.d/x", "/tmp/x", None, "why"),
        "FW-FIREWALLD",
        "would change /etc/cron.d/x",
    ),
    "a link, and a folder to remove": (
        SymlinkChange(
            "/etc/systemd/system/firewalld.service", "/dev/null", None, "why", (), ("/a",)
        ),
        "FW-FIREWALLD",
        "would change .* and /a",
    ),
    "a unit with an option": (
        UnitChange("--root=/x", UnitAction.DISABLE, "", "enabled", "why"),
        "FW-FIREWALLD",
        "for the name of a unit",
    ),
    "a module with a path": (
        ModuleChange("../x", "why", effects=COSTS),
        "MOD-BR-NETFILTER",
        "for the name of a module",
    ),
    "a restart without its impact": (RESTART, "SVC-CONTAINERD-NOFILE", "conceals that it restarts"),
    "a stop without its impact": (
        UnitChange("firewalld.service", UnitAction.STOP, "active", "", "why"),
        "FW-FIREWALLD",
        "conceals that it interrupts traffic",
    ),
    "a module without its impact": (ModuleChange("x", "why"), "MOD-BR-NETFILTER", "conceals that"),
    "a device up the tree": (SwapOff("/dev/../x", 0, "why"), "SWAP-OFF", "without `.` and"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_plan_of_what_no_remedy_does(name: str, tmp_path: Path) -> None:
    change, requirement, why = REFUSED[name]
    plan.save_plan(made(change, requirement), tmp_path / "p.json")
    with pytest.raises(UserError, match=why):
        scope.check_plan(plan.load_plan(tmp_path / "p.json"), STANDARD, lambda host: set())


def test_plans_of_remedies_are_applied() -> None:
    for change in (
        edit(K8S),
        value(FORWARD),
        SymlinkChange("/etc/systemd/system/x.service", "/dev/null", None, "why"),
    ):
        name = "FW-FIREWALLD" if isinstance(change, SymlinkChange) else "SYS-IP-FORWARD"
        scope.check_plan(made(change, name), STANDARD, lambda host: set())


def test_a_file_behind_a_sites_link_is_what_a_plan_of_now_would_edit() -> None:
    scope.check_plan(made(edit("/etc/site")), STANDARD, lambda host: {"/etc/site"})


@pytest.mark.parametrize(
    ("diff", "right"),
    [(DIFF, True), ("", False), (DIFF.replace("= 1", "= 0"), False), (f"{DIFF}\n+x", False)],
)
def test_the_difference_is_that_of_the_edit(
    monkeypatch: pytest.MonkeyPatch, diff: str, right: bool
) -> None:
    def reader(sessions: object, host: str) -> Callable[[list[str]], dict[str, bytes]]:
        return lambda paths: dict.fromkeys(paths, b"")

    monkeypatch.setattr(planner, "file_reader", reader)
    found = made(edit(K8S), diff=diff)
    if right:
        planner.check_shown(found, SessionPool({}))
        return
    with pytest.raises(UserError, match="is not what it would write"):
        planner.check_shown(found, SessionPool({}))


def test_a_difference_hides_no_other_change() -> None:
    shown = "\n".join(planner.render(made(value("/proc/sys/x"), diff=DIFF)))
    assert "/proc/sys/x: 0 -> 1" in shown
    assert "+net" not in shown
    with pytest.raises(UserError, match="shows a difference of a file, and edits none"):
        scope.check_plan(made(value(FORWARD), diff=DIFF), STANDARD, lambda host: set())


def test_what_is_written_after_a_value_is_shown() -> None:
    change = value(FORWARD, write_after=(("/proc/sys/a", "7"),))
    assert "     then /proc/sys/a: 7" in "\n".join(planner.render(made(change))).split("\n")


@pytest.mark.parametrize("where", ["plan", "host", "step", "change"])
def test_fields_that_the_checksum_does_not_cover(tmp_path: Path, where: str) -> None:
    path = tmp_path / "p.json"
    plan.save_plan(made(edit(K8S)), path)
    raw = json.loads(path.read_text())
    host = raw["hosts"][0]
    table = {"plan": raw, "host": host, "step": host["steps"][0]}
    table["change"] = host["steps"][0]["change"]
    table[where]["note"] = "approved by the board"
    path.write_text(json.dumps(raw))
    with pytest.raises(UserError, match="fields that its SHA-256 does not cover"):
        plan.load_plan(path)


# --- journals, before an undo ---

RUN = "2026-01-01T000000Z-fix"
BACKUP = f"/var/lib/hale/runs/{RUN}/1/original"
UNDO: dict[str, tuple[Action, str]] = {
    "another file": (RestoreFile("/etc/shadow", BACKUP, "a", "b", "why"), "restore /etc/shadow"),
    "another backup": (RestoreFile(K8S, "/home/ops/x", "a", "b", "why"), "from /home/ops/x"),
    "another run's": (
        RestoreFile(K8S, BACKUP.replace("-fix", "-fiy"), "a", "b", "why"),
        "from /var/lib",
    ),
    "up": (RestoreFile(f"{K8S}/../../x.conf", BACKUP, "a", "b", "why"), "without `.` and"),
    "a folder": (
        RestoreFile(K8S, BACKUP, "a", "", "why", ("/home/ops/d",)),
        "it would remove /home/ops/d",
    ),
    "an edit": (edit(K8S), "it would edit"),
    "a link": (SymlinkChange("/etc/cron.d/x", "/x", None, "why"), "would change /etc/cron.d/x"),
    "a value": (value("/proc/sys/kernel/core_pattern"), "would write /proc/sys/kernel/core_p"),
    "a value after it": (
        value(FORWARD, write_after=(("/proc/sys/kernel/modprobe", "/tmp/x"),)),
        "and /proc/sys/kernel/modprobe",
    ),
    "an escape": (UnitChange("\x1b[2J", UnitAction.START, "", "", "why"), "control character"),
}


def written(
    folder: Path, undo: Action, run: str = RUN, requirement: str = "SYS-IP-FORWARD"
) -> journal.RunHistory:
    """A journal of a run with one step that is undone so."""
    header = {"type": "run", "schema": journal.SCHEMA, "run": run, "kind": "fix"}
    header |= dict.fromkeys(("operator", "source_host", "inventory", "plan_sha256", "at"), "")
    step = Step((requirement,), value(FORWARD))
    entries = [
        json.dumps(header).encode(),
        msgspec.json.encode(journal.StepStarted("h", 1, step, "", (), "")),
        msgspec.json.encode(journal.StepDone("h", 1, (undo,), "")),
    ]
    (folder / journal.NAME).write_bytes(b"".join(entry + b"\n" for entry in entries))
    return journal.load_run(folder)


def check_undo(
    folder: Path, undo: Action, recorded: str = "", requirement: str = "SYS-IP-FORWARD"
) -> None:
    back = build_undo_plan(written(folder, undo, requirement=requirement), ["h"], "baseline", {})
    runs = "/var/lib/hale/runs"
    scope.check_undo(back, STANDARD, RUN, runs, lambda host, backup: recorded)


@pytest.mark.parametrize("name", UNDO)
def test_a_journal_of_what_no_fix_did(tmp_path: Path, name: str) -> None:
    change, why = UNDO[name]
    with pytest.raises(UserError, match=why):
        check_undo(tmp_path, change)


def test_what_a_fix_did_is_undone(tmp_path: Path) -> None:
    check_undo(tmp_path, RestoreFile(K8S, BACKUP, "a", "", "why", ("/etc/sysctl.d",)))
    check_undo(tmp_path, value(FORWARD))
    behind_a_link = RestoreFile("/etc/site", BACKUP, "a", "b", "why")
    check_undo(tmp_path, behind_a_link, recorded="/etc/site")
    with pytest.raises(UserError, match="restore /etc/site"):
        check_undo(tmp_path, behind_a_link, recorded="/etc/other")


@pytest.mark.parametrize(
    ("path", "requirement", "right"),
    [
        ("multi-user.target.wants/firewalld.service", "FW-FIREWALLD", True),
        ("dbus-org.fedoraproject.FirewallD1.service", "FW-FIREWALLD", True),
        ("multi-user.target.wants/firewalld.service", "SYS-IP-FORWARD", False),
        ("x.service.d/firewalld.conf", "FW-FIREWALLD", False),
        ("../x.wants/y", "FW-FIREWALLD", False),
    ],
)
def test_links_that_disable_has_removed_are_restored(
    tmp_path: Path, path: str, requirement: str, right: bool
) -> None:
    change = SymlinkChange(f"/etc/systemd/system/{path}", "/lib/x", None, "why")
    if right:
        check_undo(tmp_path, change, requirement=requirement)
        return
    with pytest.raises(UserError, match="is not of a fix"):
        check_undo(tmp_path, change, requirement=requirement)


@pytest.mark.parametrize("run", ["../../../tmp/x", "/tmp/x", "", ".", "a/b", "a b", "-a", "a\n"])
def test_a_run_whose_name_is_none(tmp_path: Path, run: str) -> None:
    with pytest.raises(UserError, match="is no name of a run"):
        written(tmp_path, value(FORWARD), run)


def test_a_step_that_no_run_began_is_not_recovered() -> None:
    written_after = value(FORWARD, write_after=(("/proc/sys/kernel/modprobe", "/tmp/x"),))
    for change in (written_after, value("/etc/passwd"), edit("/etc/../x")):
        with pytest.raises(UserError, match="is not recovered"):
            scope.check_begun([Step(("SYS-IP-FORWARD",), change)], STANDARD, RUN)
    scope.check_begun([Step(("SYS-IP-FORWARD",), value(FORWARD))], STANDARD, RUN)

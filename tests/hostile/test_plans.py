"""Plans by a forger: each has a right SHA-256, and shows or does what no remedy does.

It is refused, with the reason, before a host is contacted; what only a host can show, before
anything is done to it. tests/apply/test_typed.py has such plans and journals on a real host.
"""

import json
from pathlib import Path

import msgspec
import pytest

from hale.apply import workflow
from hale.inventory import ini
from hale.model.change import (
    Action,
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
from hale.plan import fresh, plan, planner, scope
from hale.plan.plan import HostPlan, Plan, Step
from tests.hostile.forgery import (
    ALL,
    COSTS,
    FORWARD,
    HOST,
    K8S,
    LINE,
    MASK,
    SCOPES,
    STANDARD,
    SYSTEMD,
    Refusal,
    edit,
    unreachable_site,
)

DIFF = f"--- {K8S}\n+++ {K8S}\n@@ -0,0 +1 @@\n+{LINE}"
RESTART = UnitChange("containerd.service", UnitAction.RESTART, "active", "", "why")


def unit(name: str, action: UnitAction, effects: tuple[Impact, ...] = ()) -> UnitChange:
    return UnitChange(name, action, "", "", "why", effects)


def value(path: str, **more: object) -> KernelValueChange:
    return KernelValueChange(path, "0", "1", "why", **more)  # type: ignore[arg-type]


def made(change: Action, requirement: str = "SYS-IP-FORWARD", diff: str = "") -> Plan:
    step = Step((requirement,), change, plan.sha256(b""), diff)
    host = HostPlan(HOST, "m", (step,), (), ())
    return plan.with_checksum(Plan(plan.SCHEMA, "me", "t", "i", "", "", "baseline", (host,)))


# The change, the requirement that it is said to be for, and what the refusal says.
REFUSED: dict[str, tuple[Action, str, str]] = {
    "up": (edit("/etc/sysctl.d/../../root/.ssh/a.conf"), "SYS-IP-FORWARD", "without `.` and"),
    "twice a slash": (edit("//etc/sysctl.d/a.conf"), "SYS-IP-FORWARD", "without `.` and"),
    "a slash at its end": (edit("/etc/sysctl.d/a.conf/"), "SYS-IP-FORWARD", "without `.` and"),
    "relative": (edit("etc/sysctl.d/a.conf"), "SYS-IP-FORWARD", "without `.` and"),
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
        "would '/etc/cron.d/x -> ",
    ),
    "a link, and a folder to remove": (
        SymlinkChange(
            "/etc/systemd/system/firewalld.service", "/dev/null", None, "why", (), ("/a",)
        ),
        "FW-FIREWALLD",
        "and remove /a",
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
    "a unit that a remedy does not start": (
        unit("evil.service", UnitAction.START),
        "TIME-SYNC",
        "would 'systemctl start evil",
    ),
    "another service's restart": (
        unit("ssh.service", UnitAction.RESTART, (Impact.RESTARTS_SERVICE,)),
        "SVC-CONTAINERD-NOFILE",
        "would 'systemctl restart ssh",
    ),
    "another service's stop": (
        unit("ssh.service", UnitAction.STOP, COSTS),
        "FW-FIREWALLD",
        "would 'systemctl stop ssh",
    ),
    "another service disabled": (
        unit("auditd.service", UnitAction.DISABLE),
        "SWAP-OFF",
        "would 'systemctl disable auditd",
    ),
    "a start of what a remedy stops": (
        unit("firewalld.service", UnitAction.START),
        "FW-FIREWALLD",
        "would 'systemctl start",
    ),
    "another module": (
        ModuleChange("evil", "why", effects=COSTS),
        "MOD-BR-NETFILTER",
        "would 'modprobe evil",
    ),
    "a module that is unloaded": (
        ModuleChange("br_netfilter", "why", False, COSTS),
        "MOD-BR-NETFILTER",
        "would 'modprobe -r",
    ),
    "another service masked": (
        SymlinkChange("/etc/systemd/system/auditd.service", "/dev/null", None, "why"),
        "FW-FIREWALLD",
        "would '/etc/systemd/system/auditd.service -> /dev/null",
    ),
    "a mask that leads to a unit of the forger's": (
        SymlinkChange(MASK, "/home/ops/x.service", None, "why"),
        "FW-FIREWALLD",
        "-> /home/ops/x",
    ),
    "a link to nothing at all": (
        SymlinkChange(MASK, "", None, "why"),
        "FW-FIREWALLD",
        "an empty text for what a link",
    ),
    "a mask removed": (SymlinkChange(MASK, None, "/dev/null", "why"), "FW-FIREWALLD", "remove the"),
    "a unit of the forger's enabled": (
        SymlinkChange(f"{SYSTEMD}/multi-user.target.wants/x.service", "/tmp/x", None, "why"),
        "TIME-SYNC",
        "-> /tmp/x",
    ),
    "a generator of the forger's": (
        SymlinkChange("/etc/systemd/system-generators/zram-generator", "/tmp/x", None, "why"),
        "SWAP-OFF",
        "-> /tmp/x",
    ),
    "a device up the tree": (SwapOff("/dev/../x", 0, "why"), "SWAP-OFF", "without `.` and"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_plan_of_what_no_remedy_does(name: str, tmp_path: Path) -> None:
    change, requirement, why = REFUSED[name]
    plan.save_plan(made(change, requirement), tmp_path / "p.json")
    with pytest.raises(UserError, match=why):
        scope.check_plan(plan.load_plan(tmp_path / "p.json"), SCOPES)


# One of each kind of change.
TYPED = (
    "an escape in a line",
    "a restore",
    "swap on",
    "a device up the tree",
    "core_pattern",
    "another service masked",
    "a unit that a remedy does not start",
    "another module",
)


@pytest.mark.parametrize("name", TYPED)
def test_apply_refuses_it_in_one_line_and_contacts_no_host(
    name: str, tmp_path: Path, refusal: Refusal
) -> None:
    site = unreachable_site(tmp_path)
    change, requirement, why = REFUSED[name]
    forged = msgspec.structs.replace(
        made(change, requirement),
        inventory=str(site.resolve()),
        inventory_sha256=ini.load_inventory(site).sha256,
        standard_sha256=STANDARD.sha256,
    )
    plan.save_plan(plan.with_checksum(forged), tmp_path / "p.json")
    words = ("fix", "--apply", f"--plan={tmp_path}/p.json", "--yes", f"--reports={tmp_path}/r")
    refusal.expect(why, workflow, *words)
    assert not (tmp_path / "r").exists()


def test_plans_of_remedies_are_applied() -> None:
    for change, requirement in (
        (edit(K8S), "SYS-IP-FORWARD"),
        (value(FORWARD), "SYS-IP-FORWARD"),
        (SymlinkChange(MASK, "/dev/null", None, "why"), "FW-FIREWALLD"),
        (unit("chrony.service", UnitAction.START), "TIME-SYNC"),
        (ModuleChange("ip_vs", "why"), "MOD-IP-VS"),
    ):
        scope.check_plan(made(change, requirement), SCOPES)


def test_a_site_that_names_another_unit_has_that_unit_bounded(tmp_path: Path) -> None:
    site = tmp_path / "inventory.ini"
    host = f"{HOST} ansible_host=127.0.0.1"
    site.write_text(f"[masters]\n{host}\n{ALL}hale_fw_firewalld__unit=fw.service\n")
    scopes = scope.scopes(STANDARD, ini.load_inventory(site))
    stop = unit("fw.service", UnitAction.STOP, COSTS)
    scope.check_plan(made(stop, "FW-FIREWALLD"), scopes)
    with pytest.raises(UserError, match="would 'systemctl stop firewalld"):
        scope.check_plan(
            made(unit("firewalld.service", UnitAction.STOP, COSTS), "FW-FIREWALLD"), scopes
        )


def test_a_host_that_the_inventory_does_not_have() -> None:
    with pytest.raises(UserError, match="has no host 'h'"):
        SCOPES("h", ["SWAP-OFF"])


def test_steps_in_another_order() -> None:
    steps = tuple(Step(("SYS-IP-FORWARD",), change) for change in (value(FORWARD), edit(K8S)))
    host = HostPlan(HOST, "m", steps, (), ())
    with pytest.raises(UserError, match="not in the order of a plan"):
        scope.check_plan(msgspec.structs.replace(made(edit(K8S)), hosts=(host,)), SCOPES)


def test_a_host_twice() -> None:
    forged = made(edit(K8S))
    twice = msgspec.structs.replace(forged, hosts=forged.hosts * 2)
    with pytest.raises(UserError, match="the plan has a host twice"):
        scope.check_plan(twice, SCOPES)


# --- beside a plan that is made now ---

SWAP = "/dev/sdb1"
FORWARD_STEP = Step(("SYS-IP-FORWARD",), value(FORWARD))
NOW = (
    Step(("SYS-IP-FORWARD",), edit(K8S), plan.sha256(b""), DIFF),
    FORWARD_STEP,
    Step(("SWAP-OFF",), SwapOff(SWAP, 7, "7 KiB are in use")),
)


def beside(*steps: Step) -> dict[tuple[str, int], str]:
    """The steps of a plan that are not in NOW."""
    forged = msgspec.structs.replace(made(edit(K8S)), hosts=(HostPlan(HOST, "m", steps, (), ()),))
    return fresh.unplanned_steps(forged, {HOST: HostPlan(HOST, "m", NOW, (), ())}, SCOPES)


def test_a_plan_that_would_be_made_now() -> None:
    assert beside(*NOW) == {}
    assert beside(*NOW[1:]) == {}, "of fewer requirements"
    used = Step(("SWAP-OFF",), SwapOff(SWAP, 1, "1 KiB is in use"))
    assert beside(used) == {}, "what the host compares itself is no other step"
    assert beside(Step(("SYS-IP-FORWARD",), edit(K8S), "of other bytes", DIFF)) == {}


@pytest.mark.parametrize(
    "step",
    [
        Step(("SWAP-OFF",), SwapOff("/home/ops/x", 0, "why")),
        Step(("SYS-IP-FORWARD",), KernelValueChange(FORWARD, "0", "2", "why")),
        Step(("SYS-IP-FORWARD",), value(FORWARD, effects=(Impact.IRREVERSIBLE,))),
        Step(("SYS-IP-FORWARD", "HA-ETCD-MEMBERS"), value(FORWARD)),
        Step(("FW-FIREWALLD",), UnitChange("firewalld.service", UnitAction.STOP, "", "", "why")),
        Step(("SYS-IP-FORWARD",), edit("/etc/sysctl.d/zz.conf", "kernel.core_pattern = |/x")),
        Step(("SYS-IP-FORWARD",), edit(K8S, "kernel.core_pattern = |/x"), "of other bytes"),
    ],
    ids=lambda step: str(step.change.describe()),
)
def test_a_step_that_no_plan_of_now_has_is_not_applied(step: Step) -> None:
    assert beside(step) == {(HOST, 1): fresh.WHY}


def test_a_step_twice() -> None:
    assert beside(FORWARD_STEP, FORWARD_STEP) == {(HOST, 2): fresh.WHY}


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (Step(("SYS-IP-FORWARD",), edit("/etc/sudoers.d/zz"), "", DIFF), "which no remedy edits"),
        (Step(("SYS-IP-FORWARD",), edit("/etc/sysctl.d/..conf/x.conf")), "which no remedy edits"),
        (Step(("SYS-IP-FORWARD",), edit("/etc/sysctl.d/a/b.conf")), "which no remedy edits"),
        (Step(("SYS-IP-FORWARD",), edit("/etc/sysctl.d/a.conf.sh")), "which no remedy edits"),
        (Step(("SYS-IP-FORWARD",), edit("/etc/hosts")), "which no remedy edits"),
        (
            Step(("SYS-IP-FORWARD",), edit(K8S, "kernel.core_pattern = |/x"), plan.sha256(b"")),
            "in another way",
        ),
        *(
            (Step(("SYS-IP-FORWARD",), edit(K8S), plan.sha256(b""), diff), "that is not what it")
            for diff in ("", DIFF.replace("= 1", "= 0"), f"{DIFF}\n+x")
        ),
    ],
)
def test_an_edit_that_the_remedies_do_not_make(step: Step, why: str) -> None:
    with pytest.raises(UserError, match=why):
        beside(step)


def test_a_file_behind_a_sites_link_is_what_a_plan_of_now_would_edit() -> None:
    step = Step(("SYS-IP-FORWARD",), edit("/etc/site"), plan.sha256(b""), DIFF)
    forged = msgspec.structs.replace(made(edit(K8S)), hosts=(HostPlan(HOST, "m", (step,), (), ()),))
    now = {HOST: HostPlan(HOST, "m", (step,), (), ())}
    assert fresh.unplanned_steps(forged, now, SCOPES) == {}


# --- what is shown ---


def test_a_difference_hides_no_other_change() -> None:
    shown = "\n".join(planner.render(made(value("/proc/sys/x"), diff=DIFF)))
    assert "/proc/sys/x: 0 -> 1" in shown
    assert "+net" not in shown
    with pytest.raises(UserError, match="shows a difference of a file, and edits none"):
        scope.check_plan(made(value(FORWARD), diff=DIFF), SCOPES)


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

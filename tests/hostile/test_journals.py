"""Journals by a forger: an undo does what undoes a step of a fix, and nothing else."""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from invoke.program import Program

from hale.apply import journal, undo_scope, undo_workflow
from hale.apply.handlers import inverse_changes
from hale.apply.prepared import PreparedStep
from hale.inventory import ini
from hale.model.change import (
    Action,
    AppendLine,
    FileEdit,
    Impact,
    KernelValueChange,
    ManualStep,
    ModuleChange,
    RestoreFile,
    SwapOff,
    SwapOn,
    SymlinkChange,
    UnitAction,
    UnitChange,
)
from hale.model.errors import UserError
from hale.paths import ROOT
from hale.plan import scope
from hale.plan.plan import Step
from hale.ssh import SessionPool
from hale.standard import loader

STANDARD = loader.load_standard(ROOT / "standard")
HOST = "k8s-node-01"
SCOPES = scope.scopes(STANDARD, ini.load_inventory(ROOT / "inventory.ini"))
RUN, EARLIER = "2026-01-02T000000Z-fix", "2026-01-01T000000Z-fix"
FOLDER = f"/var/lib/hale/runs/{RUN}/1"
BACKUP = f"{FOLDER}/original"
FORWARD = "/proc/sys/net/ipv4/ip_forward"
K8S = "/etc/sysctl.d/k8s.conf"
SYSTEMD = "/etc/systemd/system"
MASK = f"{SYSTEMD}/firewalld.service"
WANTS = f"{SYSTEMD}/multi-user.target.wants/firewalld.service"
COSTS = (Impact.DISRUPTS_TRAFFIC,)


def edit(path: str) -> FileEdit:
    return FileEdit(path, (AppendLine("net.ipv4.ip_forward = 1"),), "why")


def value(path: str = FORWARD, old: str = "0", new: str = "1", **more: object) -> Action:
    return KernelValueChange(path, old, new, "why", **more)  # type: ignore[arg-type]


def restored(path: str = K8S, backup: str = BACKUP, *folders: str) -> RestoreFile:
    return RestoreFile(path, backup, "new", "old", "why", folders)


def link(path: str, target: str | None, before: str | None, *folders: str) -> SymlinkChange:
    return SymlinkChange(path, target, before, "why", (), folders)


def unit(name: str, action: UnitAction) -> UnitChange:
    effects = COSTS if action is UnitAction.STOP else ()
    return UnitChange(name, action, "", "", "why", effects)


# Each kind of change as a fix makes it, and the requirement of its remedy.
EDIT = edit(K8S), "SYS-IP-FORWARD"
VALUE = value(), "SYS-IP-FORWARD"
MASKED = link(MASK, "/dev/null", None), "FW-FIREWALLD"
STOP = unit("firewalld.service", UnitAction.STOP), "FW-FIREWALLD"
DISABLE = unit("firewalld.service", UnitAction.DISABLE), "FW-FIREWALLD"
MODULE = ModuleChange("br_netfilter", "why", effects=COSTS), "MOD-BR-NETFILTER"
SWAP = SwapOff("/dev/sdb1", 0, "why"), "SWAP-OFF"
FIXES = {"edit": EDIT, "value": VALUE, "mask": MASKED, "stop": STOP, "module": MODULE, "swap": SWAP}

HIDDEN = (("/proc/sys/kernel/modprobe", "/tmp/x"),)
# The step, what is said to undo it, and the reason of the refusal.
FORGED: dict[str, tuple[tuple[Action, str], Action, str]] = {
    "another file": (EDIT, restored("/etc/shadow"), "restore /etc/shadow', which does not undo"),
    "another backup": (EDIT, restored(backup="/home/ops/x"), "does not undo its step"),
    "another run's": (EDIT, restored(backup=BACKUP.replace(RUN, EARLIER)), "does not undo"),
    "another step's": (EDIT, restored(backup=BACKUP.replace("/1/", "/2/")), "does not undo"),
    "up the tree": (EDIT, restored(f"{K8S}/../../x.conf"), "without `.` and"),
    "a backup up the tree": (EDIT, restored(backup=f"{FOLDER}/../1/original"), "without `.` and"),
    "a folder": (EDIT, restored(K8S, BACKUP, "/home/ops/d"), "does not undo its step"),
    "an edit": (EDIT, edit(K8S), "'edit .*', which does not undo its step"),
    "a link for a file": (EDIT, link("/etc/cron.d/x", "/x", None), "does not undo its step"),
    "a value for a file": (EDIT, value("/proc/sys/kernel/core_pattern"), "does not undo its step"),
    "another value": (VALUE, value(old="1", new="2"), "does not undo its step"),
    "another value's file": (VALUE, value("/proc/sys/kernel/core_pattern", "1", "0"), "not undo"),
    "a value after it": (VALUE, value(old="1", new="0", write_after=HIDDEN), "does not undo"),
    "a unit started": (VALUE, unit("evil.service", UnitAction.START), "start evil.service', which"),
    "another unit started": (STOP, unit("evil.service", UnitAction.START), "does not undo"),
    "another unit stopped": (STOP, unit("sshd.service", UnitAction.STOP), "does not undo"),
    "another unit masked": (MASKED, link(f"{SYSTEMD}/ssh.service", "/dev/null", None), "not undo"),
    "another link": (MASKED, link(MASK, "/home/ops/x.service", "/dev/null"), "does not undo"),
    "a link out of systemd's": (DISABLE, link("/etc/cron.d/x", "/x", None), "does not undo"),
    "a link that replaces one": (DISABLE, link(WANTS, "/x", "/y"), "does not undo its step"),
    "another module": (MODULE, ModuleChange("overlay", "why", load=False), "does not undo"),
    "a module loaded": (MODULE, ModuleChange("evil", "why"), "does not undo its step"),
    "another device": (SWAP, SwapOn("/home/ops/swap", -1, "why"), "does not undo its step"),
    "an escape": (STOP, unit("\x1b[2J", UnitAction.START), "control character"),
    "of no requirement": ((VALUE[0], "SYS-NONE"), value(), "no requirement 'SYS-NONE'"),
}
# Steps that no fix makes, whatever undoes them.
STEPS: dict[str, tuple[tuple[Action, str], str]] = {
    "a unit of the forger's": (
        (unit("evil.service", UnitAction.STOP), "FW-FIREWALLD"),
        "stop evil",
    ),
    "a module": ((ModuleChange("evil", "why"), "MOD-BR-NETFILTER"), "modprobe evil"),
    "a link": ((link(f"{SYSTEMD}/ssh.service", "/dev/null", None), "FW-FIREWALLD"), "ssh.service"),
    "a value": ((value("/proc/sys/kernel/core_pattern"), "SYS-IP-FORWARD"), "core_pattern"),
    "a device": ((SwapOff("/home/ops/x", 0, "why"), "SYS-IP-FORWARD"), "swapoff"),
    "a restore": ((restored(), "SYS-IP-FORWARD"), "restore"),
}


def inverse(step: tuple[Action, str], notes: tuple[str, ...] = ()) -> list[Action]:
    """What undoes it."""
    begun = Step((step[1],), step[0], "old")
    found = inverse_changes(PreparedStep(begun, FOLDER, "new", notes), ())
    return [change for change in found if not isinstance(change, ManualStep)]


def written(
    folder: Path,
    step: tuple[Action, str],
    *undo: Action,
    notes: tuple[str, ...] = (),
    **header: str,
) -> journal.RunHistory:
    """A journal of a run with that one step, undone so."""
    names = ("operator", "source_host", "inventory", "plan_sha256", "at")
    first = {"type": "run", "schema": journal.SCHEMA, "run": RUN, "kind": "fix"}
    first |= dict.fromkeys(names, "") | header
    begun = Step((step[1],), step[0], "old")
    entries = [
        json.dumps(first).encode(),
        msgspec.json.encode(journal.StepStarted(HOST, 1, begun, "new", notes, "")),
        msgspec.json.encode(journal.StepDone(HOST, 1, undo, "")),
    ]
    (folder / journal.NAME).write_bytes(b"".join(entry + b"\n" for entry in entries))
    return journal.load_run(folder)


def check(history: journal.RunHistory, noted: Mapping[str, str] | None = None) -> None:
    """noted: the text of files of the step's backup on the host, by name."""
    records = undo_scope.check_undo(history, [HOST], SCOPES)
    files = {f"{FOLDER}/{name}": text for name, text in (noted or {}).items()}
    undo_scope.check_records(history, records, lambda host, file: files.get(file, ""))


@pytest.mark.parametrize("name", FORGED)
def test_a_journal_of_what_no_fix_did(tmp_path: Path, name: str) -> None:
    step, change, why = FORGED[name]
    with pytest.raises(UserError, match=why):
        undo_scope.check_undo(written(tmp_path, step, change), [HOST], SCOPES)


@pytest.mark.parametrize("name", STEPS)
def test_a_journal_of_a_step_that_no_fix_makes(tmp_path: Path, name: str) -> None:
    step, why = STEPS[name]
    with pytest.raises(UserError, match=why):
        undo_scope.check_undo(written(tmp_path, step, *inverse(step)), [HOST], SCOPES)
    (tmp_path / journal.NAME).write_bytes(  # the step was begun, and is not over
        b"\n".join((tmp_path / journal.NAME).read_bytes().splitlines()[:2]) + b"\n"
    )
    with pytest.raises(UserError, match=f"is not recovered: .*{why}"):
        undo_scope.check_begun(journal.load_run(tmp_path), SCOPES)


@pytest.mark.parametrize("name", ["another file", "another unit started", "another module"])
def test_undo_refuses_it_in_one_line_and_contacts_no_host(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def contact(*_: object, **__: object) -> None:
        raise AssertionError("a host was contacted")

    monkeypatch.setattr(undo_workflow, "audit", contact)
    monkeypatch.setattr(SessionPool, "start", contact)
    monkeypatch.setattr(SessionPool, "session", contact)
    site = tmp_path / "inventory.ini"
    site.write_text(
        f"[masters]\n{HOST} ansible_host=127.0.0.1 ansible_port=1\n"
        "[all:vars]\nvip=127.0.0.9\nvip_port=16443\nvip_names=k8s-vip\n"
    )
    step, change, why = FORGED[name]
    folder = tmp_path / "reports" / RUN
    folder.mkdir(parents=True)
    written(folder, step, change, inventory=str(site))
    monkeypatch.chdir(ROOT)
    reports = f"--reports={folder.parent}"
    monkeypatch.setattr(sys, "argv", ["invoke", "undo", RUN, "--yes", reports])
    with pytest.raises(SystemExit) as ended:
        Program().run()
    assert ended.value.code == 1
    shown = capsys.readouterr()
    assert not shown.out
    (line,) = shown.err.splitlines()
    assert re.search(why, line)
    assert [path.name for path in folder.parent.iterdir()] == [RUN]


@pytest.mark.parametrize("name", FIXES)
def test_what_a_fix_did_is_undone(tmp_path: Path, name: str) -> None:
    changes = inverse(FIXES[name])
    assert changes
    check(written(tmp_path, FIXES[name], *changes))
    # And the undo of it, in whose journal these changes are the steps.
    for change in changes:
        back = change
        if isinstance(change, RestoreFile):
            back = msgspec.structs.replace(change, backup_path=BACKUP.replace(RUN, EARLIER))
        step = back, FIXES[name][1]
        noted = {"link": f"link {MASKED[0].target}\n"} if name == "mask" else {}
        history = written(tmp_path, step, *inverse(step), kind="undo", of=EARLIER)
        check(history, noted)


@pytest.mark.parametrize(
    ("step", "why"),
    [
        ((unit("evil.service", UnitAction.START), "FW-FIREWALLD"), "start evil"),
        ((ModuleChange("evil", "why", load=False), "MOD-BR-NETFILTER"), "modprobe -r evil"),
        ((restored("/etc/shadow", "/home/ops/1/original"), "SYS-IP-FORWARD"), "from /home/ops"),
        ((SwapOn("/home/ops/x", 0, "why"), "SYS-IP-FORWARD"), "swapon"),
        ((edit(K8S), "SYS-IP-FORWARD"), "would edit"),
        ((value("/proc/sys/kernel/core_pattern"), "SYS-IP-FORWARD"), "core_pattern"),
        ((link("/etc/cron.d/x", None, "/x"), "FW-FIREWALLD"), "would change /etc/cron.d/x"),
        ((link(MASK, None, "/dev/null", "/home/ops"), "FW-FIREWALLD"), "would remove /home/ops"),
    ],
)
def test_a_journal_of_what_no_undo_did(tmp_path: Path, step: tuple[Action, str], why: str) -> None:
    history = written(tmp_path, step, *inverse(step), kind="undo", of=EARLIER)
    with pytest.raises(UserError, match=why):
        undo_scope.check_undo(history, [HOST], SCOPES)


def test_folders_that_the_run_made_are_removed_and_no_others(tmp_path: Path) -> None:
    notes = ("folder /etc/sysctl.d",)
    check(written(tmp_path, EDIT, *inverse(EDIT, notes), notes=notes))
    notes = ("folder /home/ops",)
    with pytest.raises(UserError, match="would remove /home/ops"):
        check(written(tmp_path, EDIT, *inverse(EDIT, notes), notes=notes))


def test_notes_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="for the notes of 'swapoff /dev/sdb1'"):
        check(written(tmp_path, SWAP, *inverse(SWAP), notes=("priority x",)))


def test_a_step_that_was_never_begun(tmp_path: Path) -> None:
    written(tmp_path, STOP, *inverse(STOP))
    header, _, done = (tmp_path / journal.NAME).read_bytes().splitlines(keepends=True)
    (tmp_path / journal.NAME).write_bytes(header + done)
    with pytest.raises(UserError, match="step 1 of k8s-node-01 was never begun"):
        check(journal.load_run(tmp_path))


# --- what the host has noted itself ---


def test_a_file_that_no_remedy_names_is_restored_where_the_host_noted_it(tmp_path: Path) -> None:
    step = edit("/etc/site"), "SYS-IP-FORWARD"  # behind a link of the site's
    history = written(tmp_path, step, *inverse(step))
    check(history, {"path": "/etc/site"})
    with pytest.raises(UserError, match="restore /etc/site on k8s-node-01, which has no record"):
        check(history, {"path": "/etc/other"})


def test_a_link_is_restored_where_the_host_noted_it(tmp_path: Path) -> None:
    step = link(MASK, "/dev/null", "/home/ops/x.service"), "FW-FIREWALLD"
    history = written(tmp_path, step, *inverse(step))
    check(history, {"link": "link /home/ops/x.service\n"})
    for noted in ("link /lib/systemd/system/firewalld.service\n", "nothing\n", ""):
        with pytest.raises(UserError, match="which has no record of it"):
            check(history, {"link": noted})


@pytest.mark.parametrize(
    ("path", "noted", "remaining", "right"),
    [
        ("multi-user.target.wants/firewalld.service", True, False, True),
        ("dbus-org.fedoraproject.FirewallD1.service", True, False, True),
        ("multi-user.target.wants/firewalld.service", False, False, False),
        ("multi-user.target.wants/firewalld.service", True, True, False),
        ("x.service.d/firewalld.conf", True, False, False),
        ("../x.wants/y", True, False, False),
    ],
)
def test_links_that_disable_has_removed_are_restored(
    tmp_path: Path, path: str, noted: bool, remaining: bool, right: bool
) -> None:
    line = f"{SYSTEMD}/{path}\t/lib/x\n"
    lists = {"links": line if noted else "", "left": line if remaining else ""}
    history = written(tmp_path, DISABLE, link(f"{SYSTEMD}/{path}", "/lib/x", None))
    if right:
        check(history, lists)
        return
    with pytest.raises(UserError, match="is not of a fix"):
        check(history, lists)


@pytest.mark.parametrize("run", ["../../../tmp/x", "/tmp/x", "", ".", "a/b", "a b", "-a", "a\n"])
def test_a_run_whose_name_is_none(tmp_path: Path, run: str) -> None:
    with pytest.raises(UserError, match="is no name of a run"):
        written(tmp_path, VALUE, run=run)

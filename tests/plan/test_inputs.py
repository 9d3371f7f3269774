"""A plan is applied to the inventory and the standard that it was made for, and to no other."""

import html
import shlex
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from invoke.program import Program

from hale.apply import workflow
from hale.audit import results_file
from hale.files import provenance
from hale.inventory import ini
from hale.model.errors import UserError
from hale.paths import ROOT
from hale.plan import plan, planner
from hale.plan.plan import Plan
from hale.standard import loader

INVENTORY = """\
[masters]
m1 ansible_host=192.0.2.11
[all:vars]
vip=192.0.2.1
vip_port=1
vip_names=api.example
"""
STANDARD = loader.load_standard(ROOT / "standard")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An inventory."""
    path = tmp_path / "a.ini"
    path.write_text(INVENTORY)
    return path


def made_for(path: Path) -> Plan:
    """A plan that was made for this inventory, as it is now."""
    digest = provenance.sha256(path)
    return Plan(
        plan.SCHEMA, "op", "t", str(path.resolve()), digest, STANDARD.sha256, "baseline", ()
    )


def test_the_same_inputs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = made_for(path)
    planner.require_same_inputs(made, ini.load_inventory(path), STANDARD)
    monkeypatch.chdir(tmp_path)
    planner.require_same_inputs(made, ini.load_inventory(Path("a.ini")), STANDARD)


def test_another_inventory(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "b.ini"
    other.write_text(INVENTORY)
    with pytest.raises(UserError, match=r"was made for the inventory .*a[.]ini, and this one is"):
        planner.require_same_inputs(made_for(path), ini.load_inventory(other), STANDARD)


def test_an_inventory_that_has_changed(path: Path) -> None:
    made = made_for(path)
    path.write_text(INVENTORY.replace(".11", ".12"))
    with pytest.raises(UserError, match=r"inventory .* has changed since the plan was made"):
        planner.require_same_inputs(made, ini.load_inventory(path), STANDARD)


def test_an_inventory_that_changes_while_it_is_used(path: Path) -> None:
    """The digest is that of what was parsed."""
    made, known = made_for(path), ini.load_inventory(path)
    path.write_text(INVENTORY.replace(".11", ".12"))
    planner.require_same_inputs(made, known, STANDARD)


def test_a_standard_that_has_changed(path: Path) -> None:
    made = msgspec.structs.replace(made_for(path), standard_sha256="other")
    with pytest.raises(UserError, match="the baseline has changed since the plan was made"):
        planner.require_same_inputs(made, ini.load_inventory(path), STANDARD)


def test_a_plan_of_another_digest_is_not_the_approved_one(path: Path, tmp_path: Path) -> None:
    made = plan.with_checksum(made_for(path))
    file = tmp_path / "plan.json"
    plan.save_plan(made, file)
    assert plan.load_plan(file, made.sha256) == made
    assert plan.load_plan(file, made.sha256.upper()) == made
    # As whoever edits the file does: the digest is right, and another.
    other = plan.with_checksum(msgspec.structs.replace(made, author="eve"))
    plan.save_plan(other, file)
    assert plan.load_plan(file) == other
    with pytest.raises(UserError, match="not the plan that was approved: its SHA-256 is ") as error:
        plan.load_plan(file, made.sha256)
    assert made.sha256 in str(error.value)
    assert other.sha256 in str(error.value)


DIGEST = "a" * 64


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--apply", "--plan={file}", f"--sha256={DIGEST}"), "not the plan that was approved"),
        (("--apply", "--plan={file}", "--sha256=ab12"), "--sha256 requires --plan, and the 64"),
        (("--apply", "--plan={file}", "--sha256="), "--sha256 requires --plan, and the 64"),
        (("--apply", f"--sha256={DIGEST}"), "--sha256 requires --plan, and the 64"),
        ((f"--sha256={DIGEST}",), "--sha256 requires --plan, and the 64"),
    ],
)
def test_fix_refuses_it_before_any_host_is_contacted(
    path: Path, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    plan.save_plan(plan.with_checksum(made_for(path)), tmp_path / "plan.json")
    reports = tmp_path / "reports"
    typed = [word.replace("{file}", str(tmp_path / "plan.json")) for word in words]
    done = subprocess.run(
        [Path(sys.executable).with_name("invoke"), "fix", *typed, f"--reports={reports}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("fix: ")
    assert message in done.stderr
    assert not reports.exists()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--apply", "--plan=x", "-s", ""), "--sha256 requires --plan, and the 64"),
        (("--apply", "--plan=", "--yes"), "--plan has no value"),
        (("--apply", "-l", ""), "--plan has no value"),
        (("--out", ""), "--out has no value"),
    ],
)
def test_an_option_without_a_value_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    why: str,
) -> None:
    """Of a variable that is not set: `fix` would plan again, and apply that."""
    for part in ("apply_fix", "plan_fix"):  # else the hosts of inventory.ini are contacted
        monkeypatch.setattr(workflow, part, lambda *_: pytest.fail("the fix begins"))
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["invoke", "fix", *words])
    with pytest.raises(SystemExit) as ended:
        Program().run()
    assert ended.value.code == 1
    assert why in capsys.readouterr().err


def test_the_command_for_the_approval_names_the_file(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = plan.with_checksum(made_for(path))
    out = tmp_path / "a b[c].json"
    before = results_file.load_results(ROOT / "tests/reports/data/results.json")
    found = workflow.FixPlan(made, before, ())
    monkeypatch.setattr(workflow, "plan_fix", lambda *_: found)
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["invoke", "fix", "--out", str(out)])
    Program().run(exit=False)
    (command,) = [w for w in capsys.readouterr().out.splitlines() if "--apply" in w]
    assert shlex.split(command)[4] == str(out)
    assert plan.load_plan(out, made.sha256) == made
    page = tmp_path / "a b[c].html"
    assert shlex.quote(str(out)) in html.unescape(page.read_text())
    assert page.stat().st_mode & 0o777 == 0o600

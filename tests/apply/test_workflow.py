"""From an operator's words to a run, without a host: inventories, profiles, folders."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import msgspec
import pytest

from hale.apply import cluster_lock, execution, journal, recovery, workflow
from hale.apply.execution import ApprovedPlan
from hale.apply.journal import Journal, RunApproval, RunHeader, RunHistory, now
from hale.apply.options import ApplyOptions
from hale.audit import results_file
from hale.audit.audit import Audit
from hale.inventory import ini
from hale.model.errors import UserError
from hale.paths import ROOT
from hale.plan import plan
from hale.plan.plan import Plan
from hale.report import audits
from hale.report.change.model import PlanSource
from hale.ssh import SessionPool
from hale.standard import loader

INVENTORY = (
    "[masters]\nm1 ansible_host=127.0.0.1\n"
    "[all:vars]\nvip=127.0.0.2\nvip_port=6443\nvip_names=api\n"
)


class _Runner:
    """Stands for a run that makes no step."""

    def __init__(self, **_: Any) -> None:
        pass

    def run(self) -> bool:
        return True


def execute(site: Path, inventory: Path, reports: Path, planned: str = "") -> Path:
    """Runs an empty plan for an inventory as it was typed; returns the run's folder.

    planned: the SHA-256 of a plan of more hosts that was approved.
    """
    known = ini.load_inventory(inventory)
    standard = loader.load_standard(ROOT / "standard")
    audit = Audit(known, standard, "baseline", (), lambda _: pytest.fail("no host"), 1.0)
    empty = Plan(plan.SCHEMA, "me", "", str(site), "", standard.sha256, "baseline", ())
    folder = reports / "2026-01-01T000000Z-fix"
    folder.mkdir()
    options = ApplyOptions(reports, inventory, window="at night")
    made = plan.with_checksum(empty)
    if planned:
        made = msgspec.structs.replace(made, sha256=planned)
    assert execution.execute_plan(
        ApprovedPlan(made, "fix"), folder, options, audit, SessionPool({})
    )
    return folder


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An inventory in the working directory; runs take no lock and make no step."""

    @contextlib.contextmanager
    def locks_held(*_: Any, **__: Any) -> Iterator[None]:
        yield

    monkeypatch.setattr(cluster_lock, "locks_held", locks_held)
    monkeypatch.setattr(execution, "PlanRunner", _Runner)
    (tmp_path / "reports").mkdir()
    (tmp_path / "site.ini").write_text(INVENTORY)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "site.ini"


def test_undo_finds_an_inventory_that_was_typed_relatively(site: Path) -> None:
    folder = execute(site, Path("site.ini"), site.parent / "reports")
    assert journal.load_run(folder).header.inventory == str(site)


def test_an_approved_plan_of_which_some_hosts_are_changed_can_be_undone(site: Path) -> None:
    """`fix --apply --plan FILE --hosts=m1`: what was applied is no longer what was approved."""
    approved = "a" * 64
    folder = execute(site, site, site.parent / "reports", approved)
    assert plan.load_plan(folder / "plan.json").sha256 != approved
    assert journal.load_run(folder).header.plan_sha256 == approved
    assert approved in (folder / "change.html").read_text()


def test_a_run_has_its_page_before_its_first_step(site: Path) -> None:
    """A power cut may leave no other one."""
    folder = execute(site, Path("site.ini"), site.parent / "reports")
    page = (folder / "change.html").read_text()
    assert "<b>IN PROGRESS</b>" in page
    assert journal.load_run(folder).approval == RunApproval(PlanSource.MADE_NOW, "at night", ANY)


def test_a_run_that_is_recovered_has_its_page_again(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports = site.parent / "reports"
    folder = execute(site, Path("site.ini"), reports)
    assert "<b>INTERRUPTED</b>" not in (folder / "change.html").read_text()
    monkeypatch.setattr(recovery, "recover_run", lambda *_: None)
    known = ini.load_inventory(site)
    recovery.recover_runs(reports, known, SessionPool({}), lambda *_: None)
    assert "<b>INTERRUPTED</b>" in (folder / "change.html").read_text()


def test_an_interrupted_run_is_recovered_however_its_inventory_is_typed(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports = site.parent / "reports"
    (reports / "cut-off").mkdir()
    header = RunHeader(journal.SCHEMA, "cut-off", "fix", "me", "here", str(site), "", now())
    Journal(reports / "cut-off", header).close()
    recovered: list[str] = []

    def recover(history: RunHistory, *_: Any) -> None:
        recovered.append(history.header.run)

    monkeypatch.setattr(recovery, "recover_run", recover)
    execute(site, Path("site.ini"), reports)
    assert recovered == ["cut-off"]


def test_an_unknown_profile_is_refused_before_a_host_is_contacted(site: Path) -> None:
    with pytest.raises(UserError, match="no profile 'extend'; known: baseline, extended"):
        ApplyOptions(site.parent, site, profile="extend")
    ApplyOptions(site.parent, site, profile="document")  # its name in earlier releases


def test_a_mistake_in_an_override_leaves_no_empty_run(site: Path) -> None:
    site.write_text(f"{INVENTORY}hale_swap_of__x=1\n")
    known, folder = ini.load_inventory(site), site.parent / "reports" / "run-audit"
    folder.mkdir()
    standard = loader.load_standard(ROOT / "standard")
    with pytest.raises(UserError, match="overrides nothing"):
        audits.audit(folder, known, standard, "baseline", sessions=SessionPool({}))
    assert not folder.exists()


def test_results_and_plan_name_the_inventory_by_its_full_path(site: Path) -> None:
    site.write_text(INVENTORY.replace("127.0.0.1", "127.0.0.1 ansible_port=1"))
    reports = site.parent / "reports"
    made = workflow.plan_fix(ApplyOptions(reports, Path("site.ini")), ["SWAP-OFF"]).plan
    (run,) = reports.iterdir()
    assert (
        results_file.load_results(run / "results.json").run.inventory == str(site) == made.inventory
    )

"""What becomes of a forged step among planned ones, and of a journal beside the host's own records.

Hale's scripts run here as root, in folders of the test's; the plan of now is one of saved evidence.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import pytest

from hale.apply import undo, undo_scope
from hale.apply.journal import RunHistory, StepState, load_run
from hale.audit import evidence_file
from hale.audit.run import AuditResult, judge_saved
from hale.inventory import ini
from hale.model.change import Action, FileEdit, KernelValueChange, SymlinkChange
from hale.model.errors import UserError
from hale.model.remedy_scope import RemedyScope
from hale.paths import ROOT
from hale.plan import fresh, plan, planner, scope
from hale.plan.plan import HostPlan, Plan, Step
from hale.plan.scope import Scope
from hale.ssh import SessionPool
from hale.standard import loader
from tests.engine.pytest_cli import DATA
from tests.hostile.local_host import LocalHost, local_host
from tests.hostile.plan_runs import NAME, appended, plan_runner, planned


@pytest.fixture
def host() -> Iterator[LocalHost]:
    with local_host() as made:
        yield made


def apply(
    host: LocalHost, folder: Path, made: Plan, unplanned: Iterable[int] = ()
) -> tuple[bool, RunHistory]:
    """Apply the plan; these steps are in no plan of now."""
    run, journal = plan_runner(host, folder, made, unplanned=unplanned)
    complete = run.run()
    journal.close()
    return complete, load_run(folder)


def test_a_step_of_no_plan_of_now_is_refused_and_the_others_are_made(
    host: LocalHost, tmp_path: Path
) -> None:
    paths = [host.etc / name for name in ("planned", "forged", "done")]
    for path in paths:
        path.write_text("")
    steps = [appended(path, "a line") for path in paths]
    paths[2].write_text("a line\n")
    complete, history = apply(host, tmp_path, planned(*steps), (2, 3))
    assert not complete
    assert [path.read_text() for path in paths] == ["a line\n", "", "a line\n"]
    assert [(s.number, s.state, s.reason) for s in history.skipped] == [
        (2, StepState.REFUSED, fresh.WHY),
        (3, StepState.UNCHANGED, ""),
    ]
    assert set(history.done) == {(NAME, 1)}


def test_a_step_whose_host_has_changed_has_the_hosts_reason(
    host: LocalHost, tmp_path: Path
) -> None:
    path = host.etc / "edited"
    path.write_text("by hand\n")
    _, history = apply(host, tmp_path, planned(appended(path, "a line")), (1,))
    assert "has other bytes" in history.skipped[0].reason
    assert path.read_text() == "by hand\n"


# --- an undo ---


def check(host: LocalHost, history: RunHistory, *links: str) -> None:
    """As an undo does, for remedies that edit no file and make these links."""
    found = Scope()
    found.kinds = {FileEdit, SymlinkChange}
    found.parts = [RemedyScope(links=dict.fromkeys(links, ("/dev/null",)))]
    records = undo_scope.check_undo(history, [NAME], lambda host, names: found)
    undo_scope.check_records(history, records, lambda _, file: undo.noted(host.session, file))


def test_the_hosts_own_records_agree_with_its_journal(host: LocalHost, tmp_path: Path) -> None:
    file, link = host.etc / "file", host.etc / "link"
    file.write_text("")
    link.symlink_to("/lib/before")
    mask: Action = SymlinkChange(str(link), "/dev/null", "/lib/before", "why")
    complete, history = apply(host, tmp_path, planned(appended(file, "a line"), Step(("X",), mask)))
    assert complete
    assert str(link.readlink()) == "/dev/null"
    check(host, history, str(link))
    journal = tmp_path / "journal.jsonl"
    honest = journal.read_text()
    for true, forged in (
        ("/lib/before", "/home/ops/x.service"),
        (str(file), str(host.etc / "shadow")),
    ):
        journal.write_text(honest.replace(true, forged))
        with pytest.raises(UserError, match="which has no record of it"):
            check(host, load_run(tmp_path), str(link))


# --- the plan of now ---


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> AuditResult:
    path = DATA / "evidence.json"
    known = ini.load_inventory(DATA / "inventory.ini")
    standard = loader.load_standard(ROOT / "standard")
    saved = evidence_file.load_evidence(path)
    return judge_saved(saved, path, known, standard, tmp_path_factory.mktemp("run"))


def test_a_plan_is_the_one_that_is_made_again(
    audited: AuditResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reader(sessions: SessionPool, host: str) -> plan.FileReader:
        return lambda paths: dict.fromkeys(paths, b"")

    monkeypatch.setattr(planner, "file_reader", reader)
    pool = SessionPool({})
    only = ["SYS-IP-FORWARD", "SYS-BRIDGE-IPTABLES"]
    made = planner.build_plan(audited, pool, only)
    assert any(host.steps for host in made.hosts)
    scope_of = scope.scopes(audited.audit.standard, audited.audit.inventory)
    scope.check_plan(made, scope_of)
    assert fresh.unplanned_steps(made, planner.plan_again(made, audited, pool), scope_of) == {}

    def forged(host: HostPlan) -> HostPlan:
        steps = tuple(
            msgspec.structs.replace(s, change=msgspec.structs.replace(s.change, value="2"))
            if isinstance(s.change, KernelValueChange)
            else s
            for s in host.steps
        )
        return msgspec.structs.replace(host, steps=steps)

    other = msgspec.structs.replace(made, hosts=tuple(map(forged, made.hosts)))
    found = fresh.unplanned_steps(other, planner.plan_again(other, audited, pool), scope_of)
    values = {
        (host.host, number)
        for host in made.hosts
        for number, step in enumerate(host.steps, 1)
        if isinstance(step.change, KernelValueChange)
    }
    assert set(found) == values
    assert values

"""The journal and the page of a join and a leave: steps as `take` writes them."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

import pytest

from hale.apply import journal, run_journals, undo_workflow
from hale.apply.journal import Journal, RunState
from hale.apply.options import ApplyOptions
from hale.cli import change_page as any_page
from hale.files import manifest
from hale.install import change_page
from hale.install.federation import membership
from hale.install.federation.clusters import Clusters
from hale.install.federation.membership import FederationOptions
from hale.install.federation.steps import FederationStep, leave_steps, take
from hale.inventory import ini
from hale.model.change import Impact
from hale.model.errors import UserError
from hale.plan import approval
from hale.report.change import page
from hale.report.change.model import ChangeReport, ChangeState, Operation, Outcome, Reversal
from hale.ssh import SessionPool
from tests.install.test_federation_state import SECOND


def nothing() -> None:
    pass


def refused() -> None:
    raise UserError("b1: the connection was refused")


def interrupted() -> None:
    raise KeyboardInterrupt


def run(
    folder: Path, kind: Operation, second: Callable[[], None], error: type[BaseException] | None
) -> Path:
    """The folder of a run of two steps, of which the second is given."""
    owner = run_journals.new_owner(f"2026-11-30T150000Z-{kind}")
    path = folder / owner.run
    path.mkdir()
    header = run_journals.journal_header(
        owner,
        kind,
        Path("/b.ini"),
        approved_by="carol",
        ticket="CHG-7",
        member="second",
        host_inventory="/a.ini",
    )
    book = Journal(path, header)
    book.write(run_journals.run_approval(approval.MADE_NOW, "Sunday"))
    steps = (FederationStep("b1", "accounts", nothing), FederationStep("m1", "the member", second))
    if error is None:
        take(steps, kind, book)
    else:
        with pytest.raises(error):
            take(steps, kind, book)
    book.close()
    return path


def outcomes(report: ChangeReport) -> dict[str, list[Outcome]]:
    return {host.host: [action.outcome for action in host.actions] for host in report.hosts}


def test_a_join(tmp_path: Path) -> None:
    folder = run(tmp_path, Operation.JOIN, nothing, None)
    report = change_page.build(folder)
    assert report.state is ChangeState.FINISHED
    assert outcomes(report) == {"b1": [Outcome.DONE], "m1": [Outcome.DONE]}
    assert report.reversal is Reversal.LEAVE
    wanted = "invoke federation leave --inventory /b.ini --host-inventory /a.ini --name second"
    assert report.revert == wanted
    html = any_page.render(folder.name, tmp_path).decode()
    for text in ("carol", "CHG-7", "Sunday", "run the member", "2 changes made on 2 hosts"):
        assert text in html, text


@pytest.mark.parametrize(
    ("step", "error", "state", "run_state"),
    [
        (refused, UserError, ChangeState.FAILED, RunState.FAILED),
        (interrupted, KeyboardInterrupt, ChangeState.INTERRUPTED, RunState.INTERRUPTED),
    ],
)
def test_a_step_that_ends_early(
    tmp_path: Path,
    step: Callable[[], None],
    error: type[BaseException],
    state: ChangeState,
    run_state: RunState,
) -> None:
    folder = run(tmp_path, Operation.LEAVE, step, error)
    end = journal.load_run(folder).end
    assert end is not None
    assert end.state is run_state
    report = change_page.build(folder)
    assert report.state is state
    assert outcomes(report) == {"b1": [Outcome.DONE], "m1": [Outcome.FAILED]}
    assert "invoke federation join --inventory /b.ini" in page.render(report)


def test_one_that_was_killed(tmp_path: Path) -> None:
    folder = run(tmp_path, Operation.JOIN, nothing, None)
    book = folder / journal.NAME
    lines = book.read_text().splitlines(keepends=True)
    book.write_text("".join(lines[:-2]))
    report = change_page.build(folder)
    assert report.state is ChangeState.CRASHED
    assert outcomes(report) == {"b1": [Outcome.DONE], "m1": [Outcome.NOT_KNOWN]}
    assert "Run the join again: it makes what is missing." in page.render(report)


@pytest.fixture
def both(tmp_path: Path) -> tuple[FederationOptions, Clusters]:
    """Two clusters without a host: nothing is locked."""
    path = tmp_path / "inventory.ini"
    path.write_text(SECOND)
    known = ini.load_inventory(path)
    options = FederationOptions(path, path, yes=True, reports=tmp_path / "reports", ticket="CHG-7")
    return options, Clusters("second", known, known, SessionPool({}), SessionPool({}))


@pytest.mark.parametrize(("step", "error"), [(nothing, None), (refused, UserError)])
def test_its_folder_is_complete_however_it_ends(
    both: tuple[FederationOptions, Clusters],
    step: Callable[[], None],
    error: type[BaseException] | None,
) -> None:
    options, its = both
    steps = (FederationStep("b1", "accounts", step),)
    with pytest.raises(error) if error else nullcontext():
        membership._carry_out(options, its, Operation.JOIN, steps, "Join?")
    (folder,) = options.reports.iterdir()
    assert folder.name.endswith("-join")
    assert not manifest.differences(folder, manifest.read(folder))
    assert {p.name for p in folder.iterdir()} == {"SHA256SUMS", "change.html", "journal.jsonl"}
    header = journal.load_run(folder).header
    assert (header.kind, header.ticket, header.member) == ("join", "CHG-7", "second")
    assert "CHG-7" in (folder / "change.html").read_text()


@pytest.mark.parametrize(
    ("placed", "listed", "effects"),
    [
        ((), "(nothing at present)", ()),
        (("Deployment/a/web",), "(Deployment/a/web)", (Impact.DISRUPTS_TRAFFIC,)),
        ([f"Pod/a/{n}" for n in range(25)], "Pod/a/19 and 5 more)", (Impact.DISRUPTS_TRAFFIC,)),
    ],
)
def test_what_a_leave_removes(
    both: tuple[FederationOptions, Clusters],
    monkeypatch: pytest.MonkeyPatch,
    placed: Sequence[str],
    listed: str,
    effects: tuple[Impact, ...],
) -> None:
    options, its = both
    for name in ("on_host", "on_member"):
        monkeypatch.setattr(Clusters, name, lambda *_, **__: "")
    membership._carry_out(options, its, Operation.LEAVE, leave_steps(its, placed), "Leave?")
    (folder,) = options.reports.iterdir()
    ((first, _),) = [host.actions for host in change_page.build(folder).hosts]
    assert listed in first.title
    assert first.effects == effects


def test_a_join_is_not_undone_as_a_fix_is(tmp_path: Path) -> None:
    folder = run(tmp_path, Operation.JOIN, nothing, None)
    with pytest.raises(UserError, match="undone by `invoke federation leave`"):
        undo_workflow.undo_run(ApplyOptions(reports=tmp_path), folder.name)

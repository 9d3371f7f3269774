"""What a fix or an undo prints, and the one question that it asks."""

import sys
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hale.apply.gates import NodeStatus, render_batches
from hale.apply.journal import RunHistory
from hale.apply.options import ApplyOptions
from hale.model.errors import UserError
from hale.model.results import Results
from hale.model.verdict import Verdict
from hale.plan import planner
from hale.plan.approval import PlanOrigin
from hale.plan.plan import Plan
from hale.report.change import page
from hale.report.change.model import SignatureCheck
from hale.report.matrix import chapter_order
from hale.report.text import confirm, escape_controls, fold_hostnames
from hale.report.verdicts import sign_of


def print_author(made: Plan, options: ApplyOptions, origin: PlanOrigin) -> None:
    """Print who made the plan of a file, who has approved it, and which digest it has."""
    checked = ["its SHA-256 is that of --sha256"] if options.plan_sha256 else []
    match origin.check:
        case SignatureCheck.VERIFIED:
            checked.append(f"signed by {escape_controls(origin.signer)} ({origin.key})")
        case SignatureCheck.NOT_VERIFIED:
            checked.append(f"SIGNATURE NOT VERIFIED ({origin.key}): there is no allowed_signers")
        case _ if not checked:
            checked.append(
                "it is not signed: compare its SHA-256 with the approved one, or pass --sha256"
            )
    author, created, inventory = map(escape_controls, (made.author, made.created, made.inventory))
    print(f"plan of {author}, {created}, for {inventory}; {'; '.join(checked)}\n  {made.sha256}")


def print_plan(
    made: Plan, membership: Mapping[str, NodeStatus], options: ApplyOptions
) -> tuple[str, ...]:
    """Print the plan and its batches; returns the batches."""
    batches = tuple(render_batches(made.hosts, membership, options.batch, drain=options.drain))
    print("\n".join([*planner.render(made), *batches]), flush=True)
    return batches


def print_unplanned(unplanned: Mapping[tuple[str, int], str]) -> None:
    for (host, number), why in unplanned.items():
        print(f"step {number} of {host} is not applied, unless it is done already: {why}.")


def confirm_plan(options: ApplyOptions, made: Plan) -> None:
    """Ask once. Raises UserError if the operator declines or stdin is not a terminal."""
    if options.yes:
        return
    steps, hosts = sum(len(h.steps) for h in made.hosts), sum(bool(h.steps) for h in made.hosts)
    if not sys.stdin.isatty():
        raise UserError("stdin is not a terminal: pass --yes to apply without confirmation.")
    if not confirm(f"\nMake {steps} changes on {hosts} hosts? [y/N] "):
        raise UserError("nothing was changed.")


def print_verdicts(before: Results, after: Results, wanted: set[tuple[str, str]]) -> bool:
    """Print the verdicts that changed. True if all results that the plan was for pass.

    wanted: (host, requirement).
    """
    was = {(r.host, r.requirement, r.aspect): r for r in before.results}
    order = {h.name: n for n, h in enumerate(before.hosts)}
    turned: dict[tuple[str, str, Verdict, Verdict, str], list[str]] = {}
    failed = False
    for row in sorted(after.results, key=lambda r: (chapter_order(r), order.get(r.host, -1))):
        old = was.get((row.host, row.requirement, row.aspect))
        bad = row.verdict.failed
        left = bad and (row.host, row.requirement) in wanted
        failed = failed or left
        if old is not None and (old.verdict is not row.verdict or left):
            actual = escape_controls(row.actual) if bad else ""
            key = (row.requirement, row.aspect, old.verdict, row.verdict, actual)
            turned.setdefault(key, []).append(row.host)
    shown = Table("requirement", "aspect", "before", "after", "hosts", box=None)
    for (requirement, aspect, *verdicts, actual), hosts in turned.items():
        signs = [_signed(v) for v in verdicts]
        names = Text(fold_hostnames(hosts))
        shown.add_row(
            requirement, aspect, *signs, names + Text(f"\n{actual}", "dim") if actual else names
        )
    console = Console(highlight=False)
    console.print()
    console.print(shown)
    counts = [sum(r.verdict.failed for r in each.results) for each in (before, after)]
    console.print(f"\nfailed or unknown results: {counts[0]} before, {counts[1]} after")
    return not failed


def _signed(verdict: Verdict) -> Text:
    sign, style = sign_of(verdict)
    return Text(f"{sign} {verdict.value}", style)


def print_next_steps(folder: Path, *, ok: bool, passed: bool) -> None:
    print(f"report: {folder / page.NAME}")
    if not ok:
        print("Not all changes were made; see above. Completed changes stay, and can be undone:")
    elif not passed:
        print("All changes were made, but some of their results are still not PASS; see above.")
    print(f"undo:   invoke undo {folder.name}")


def print_trial(history: RunHistory | None) -> None:
    """Print until when the hosts of a run on trial wait."""
    if history is not None and history.open_trials:
        until = min(one.until for one in history.trials.values())
        print(
            f"on trial until {until}: from then on {fold_hostnames(history.open_trials)} "
            f"undo it by themselves, unless it is confirmed:\n"
            f"confirm: invoke confirm {history.header.run}"
        )

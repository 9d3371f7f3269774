"""`invoke confirm`: keeps the changes of a run on trial."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from hale.cli import options

if TYPE_CHECKING:
    from hale.ssh.inventory_targets import LoginOptions


@task(
    klass=options.Command,
    interrupted="interrupted; `invoke confirm` again reports which hosts are confirmed",
    help={
        "run": "the run on trial, as listed by `invoke runs`",
        "force-unlock": options.FORCE_UNLOCK,
        "reports": options.REPORTS,
    },
)
def confirm(
    _: Context, run: str, force_unlock: bool = False, reports: str = "", *, login: LoginOptions
) -> None:
    """Keep the changes of `fix --try`: its hosts do not undo them any more.

    The exit status is 1 where a host has undone them before, or was not reached.
    """
    from hale.apply import run_journals, trial_end
    from hale.apply.reporter import console_reporter
    from hale.report.change.model import TrialState
    from hale.report.text import fold_hostnames

    folder = run_journals.find_run(options.reports(reports), run).folder
    report = console_reporter()
    states = trial_end.confirm_run(folder, login, report, force_unlock=force_unlock)
    for state in TrialState:
        if hosts := [host for host, found in states.items() if found is state]:
            print(f"{state.value}: {fold_hostnames(hosts)}")
    if any(state is not TrialState.CONFIRMED for state in states.values()):
        print(f"Not all hosts keep the changes. `invoke undo {run}` makes them equal again.")
        raise Exit(code=1)

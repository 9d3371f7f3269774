"""The first phase of an install, the gate: hosts on which it could not be completed are refused."""

import time
from collections.abc import Collection, Iterable

from rich.text import Text

from hale.apply import workflow as apply
from hale.apply.options import ApplyOptions
from hale.install import preflight
from hale.install.install_run import InstallRun
from hale.install.phase_selection import GATE
from hale.install.preflight import PreflightResult
from hale.install.progress import headline
from hale.install.refusals import unsupported
from hale.model.results import Result
from hale.report.text import confirm, escape_controls


def pass_gate(run: InstallRun, exempt: Collection[str]) -> bool:
    """Whether the install may start; the operator may have the hosts remediated first.

    exempt: the hosts that the run leaves as they are. Prints what fails and the next step. Raises
    UserError if an audit or a fix cannot run.
    """
    begun = time.monotonic()
    run.console.print(headline("▶", GATE, "Host requirements", ""))
    if reasons := unsupported(run.context, run.sessions, exempt):
        _print_failed(run, reasons)
        run.console.print("Nothing was changed: the install could not be completed on these hosts.")
        return False
    found = _preflight(run, exempt)
    if found.blocking:
        _refuse(run, found.blocking)
        return False
    if found.fixable:
        if not _remediate(run, found, exempt):
            return False
        found = _preflight(run, exempt)
        if not found.open:
            _print_failed(run, preflight.render([*found.fixable, *found.blocking]))
            run.console.print(
                "These still fail: see above for the reason, then run the command again."
            )
            return False
    for text in preflight.render(found.ignored):
        run.console.print(Text(f"  ! ignored: {escape_controls(text)}", "yellow"))
    found.folder.rename(run.folder / GATE)
    seconds = f"{time.monotonic() - begun:.1f} s"
    run.console.print(headline("✓", GATE, "Host requirements", seconds), style="green")
    return True


def _preflight(run: InstallRun, exempt: Collection[str]) -> PreflightResult:
    return preflight.run_preflight(
        run.inventory, run.standard, run.sessions, run.folder, run.ignored, exempt
    )


def _print_failed(run: InstallRun, texts: Iterable[str], style: str = "red") -> None:
    for text in texts:
        run.console.print(Text(f"  ✗ {escape_controls(text)}", style))


def _refuse(run: InstallRun, blocking: Collection[Result]) -> None:
    """Print what has no remedy, and how to go on without it."""
    _print_failed(run, preflight.render(blocking))
    ids = ",".join(sorted({r.requirement for r in blocking}))
    how = (
        f": --ignore-preflight-errors {ids}"
        if run.options.apply is None
        else " when you plan the install again."
    )
    run.console.print(
        f"Nothing was changed: there is no remedy for these. Fix them manually, or ignore them{how}"
    )


def _remediate(run: InstallRun, found: PreflightResult, exempt: Collection[str]) -> bool:
    """Have `invoke fix` remediate them, if the operator wants that; whether all of it is done."""
    options = run.options
    _print_failed(run, preflight.render(found.fixable), style="")
    for text in preflight.render(found.postponed):
        run.console.print(Text(f"  … judged again after these: {escape_controls(text)}"))
    if options.apply is not None:
        run.console.print(
            "Nothing was changed: a saved plan of an install remediates no host requirement. "
            "Plan and apply these with `invoke fix`, or ignore them when you plan the install."
        )
        return False
    if not (options.fix or confirm("\n`invoke fix` remediates these. Plan that now? [y/N] ")):
        run.console.print("Nothing was changed. `invoke install --fix` remediates these first.")
        return False
    typed = ApplyOptions(
        options.reports,
        run.inventory.path,
        hosts=",".join(h.name for h in run.inventory.hosts if h.name not in exempt),
        profile=preflight.PROFILE,
        drain=options.drain,
        drain_timeout=options.drain_timeout,
        yes=options.yes,
        force_unlock=options.force_unlock,
        approved_by=options.approved_by,
        ticket=options.ticket,
        window=options.window,
        login=options.login,
    )
    run.sessions.close()  # a fix has its own; new ones then get the limits that it sets
    if not apply.apply_fix(typed, sorted({r.requirement for r in found.fixable}), None):
        run.console.print("Not everything was remediated; see above, then run the command again.")
        return False
    return True

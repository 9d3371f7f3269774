"""`invoke check`: an audit in one line, for a monitoring system; the exit status is its state."""

from datetime import UTC, datetime
from pathlib import Path

from hale.audit import results_file
from hale.audit.recorder import create_run_dir
from hale.cli import run_folder
from hale.files import signature
from hale.inventory import ini
from hale.model.errors import UserError
from hale.model.requirement import Profile
from hale.model.results import Results
from hale.paths import ROOT
from hale.report import audits, monitoring
from hale.report.monitoring import MonitoringState
from hale.report.text import escape_controls
from hale.ssh import SessionPool
from hale.ssh.inventory_targets import LoginOptions, targets_of
from hale.standard import loader

NEWEST = "newest"


def refusal(error: Exception) -> tuple[str, MonitoringState]:
    """The line and the state where nothing could be judged."""
    state = MonitoringState.UNKNOWN
    return f"HALE {state.name} - {escape_controls(str(error))}", state


def audit(
    inventory: Path | None, profile: str, hosts: str, reports: Path, login: LoginOptions
) -> tuple[str, MonitoringState]:
    """Audit the hosts into a new folder of `reports`. Raises UserError."""
    known = ini.load_inventory(inventory or ROOT / "inventory.ini")
    standard = loader.load_standard(ROOT / "standard")
    if profile not in tuple(Profile):
        raise UserError(f"no profile {profile!r}: {' or '.join(Profile)}.")
    folder = create_run_dir(reports, "audit")
    with SessionPool(targets_of(known, login)) as sessions:
        made = audits.audit(folder, known, standard, profile, hosts, sessions=sessions)
    signature.seal(folder)
    return _judged(made.results)


def saved(
    run: str, reports: Path, max_age: float, inventory: Path | None = None
) -> tuple[str, MonitoringState]:
    """The state of a run that was made before.

    run: a folder of `reports`, a path, or `newest`, the newest audit. max_age: hours; an older run
    is UNKNOWN. inventory: of the newest audit; any if None, so that of another operator's too.
    Raises UserError.
    """
    if run == NEWEST:
        folder, found = _newest(reports, inventory)
    else:
        folder = run_folder.find_folder(run, reports)
        found = results_file.load_results(folder / "results.json")
    try:
        age = datetime.now(UTC) - datetime.fromisoformat(found.run.started)
        hours = age.total_seconds() / 3600
    except (ValueError, TypeError):
        raise UserError(f"{folder}: the run has no time.") from None
    if not -1 < hours <= max_age:
        raise UserError(f"{folder.name} is {hours:.0f} hours old, and {max_age:g} are the most.")
    return _judged(found)


def _newest(reports: Path, inventory: Path | None) -> tuple[Path, Results]:
    """The newest audit, of that inventory if one is named. Raises UserError."""
    for results in sorted(reports.glob("*-audit*/results.json"), reverse=True):
        found = results_file.load_results(results)
        if inventory is None or Path(found.run.inventory).resolve() == inventory.resolve():
            return results.parent, found
    raise UserError(f"no audit in {reports}{f' of {inventory}' if inventory else ''}.")


def _judged(found: Results) -> tuple[str, MonitoringState]:
    return monitoring.line(found), monitoring.state_of(found)

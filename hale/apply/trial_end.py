"""The end of a trial: confirmed, cancelled by an undo, or what a host that undid the run reports.

Each end is an entry of the run's own journal, which its page and `invoke runs` show.
"""

from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

from hale.apply import change_page, cluster_lock, journal, run_journals, sealing, trial
from hale.apply.journal import Journal, RunHistory, TrialEnded, now
from hale.apply.prepared import StepFailed
from hale.apply.reporter import Reporter
from hale.apply.trial import TrialReply
from hale.inventory import ini
from hale.model.errors import UserError
from hale.report.change.model import TrialState
from hale.report.change.words import trial_sentence
from hale.ssh import RemoteError, SessionPool
from hale.ssh.inventory_targets import LoginOptions, targets_of

# They are no end: the host goes on by itself.
_GOES_ON = (TrialState.PENDING, TrialState.UNDOING)


def confirm_run(
    folder: Path, login: LoginOptions, report: Reporter, *, force_unlock: bool = False
) -> Mapping[str, TrialState]:
    """Keep the changes of a run on trial; returns how the trial stands on each of its hosts.

    folder: of the run. A host that is not reached is reported, and PENDING. Raises UserError.
    """
    history = journal.load_run(folder)
    name = history.header.run
    if not history.trials:
        raise UserError(f"{name} was not on trial: its changes stay until `invoke undo {name}`.")
    if journal.is_running(folder):
        raise UserError(f"{name} is still running; confirm it once it has ended.")
    waiting = history.open_trials
    if waiting:
        known = ini.load_inventory(Path(history.header.inventory))
        names = [host.name for host in known.hosts]
        with (
            SessionPool(targets_of(known, login)) as sessions,
            cluster_lock.locks_held(
                sessions,
                names,
                (),
                run_journals.new_owner(name),
                stale=force_unlock,
                report=report,
                nothing="nothing was confirmed",
                trial=name,
            ),
        ):
            replies = _end(history, sessions, waiting, TrialState.CONFIRMED, report)
        _record(history, replies, report)
        history = journal.load_run(folder)
    ended = {host: one.state for host, one in history.trial_ends.items()}
    going_on = {host: reply.state for host, reply in replies.items()} if waiting else {}
    return dict.fromkeys(history.trials, TrialState.PENDING) | going_on | ended


def cancel(folder: Path, sessions: SessionPool, hosts: Collection[str], report: Reporter) -> None:
    """End the trials of that run on these hosts, because an undo of it begins.

    The hosts' locks must be held. Raises UserError where one is not reached.
    """
    history = journal.load_run(folder)
    waiting = [host for host in history.open_trials if host in hosts]
    if not waiting:
        return
    replies = _end(history, sessions, waiting, TrialState.CANCELLED, report)
    _record(history, replies, report)
    if missing := [host for host in waiting if host not in replies]:
        raise UserError(f"nothing was changed: the trial on {', '.join(missing)} goes on.")


def collect(history: RunHistory, sessions: SessionPool, report: Reporter) -> None:
    """Journal how the trials of a run ended, where its hosts can be reached."""
    if history.open_trials:
        _record(history, _end(history, sessions, history.open_trials, None, report), report)


def _end(
    history: RunHistory,
    sessions: SessionPool,
    hosts: Iterable[str],
    goal: TrialState | None,
    report: Reporter,
) -> dict[str, TrialReply]:
    """What each host replies; those that do not are reported."""
    hosts = list(hosts)
    run = history.header.run
    found: dict[str, TrialReply] = {}
    with ThreadPoolExecutor(len(hosts)) as pool:
        asking = {
            host: pool.submit(partial(_end_on_host, sessions, host, run, goal)) for host in hosts
        }
    for host, one in asking.items():
        reply = one.result()
        if isinstance(reply, TrialReply):
            found[host] = reply
        else:
            report(host, f"the trial of {run} was not reached: {reply}")
    return found


def _end_on_host(
    sessions: SessionPool, host: str, run: str, goal: TrialState | None
) -> TrialReply | Exception:
    try:
        return trial.end(sessions.session(host), run, goal)
    except (RemoteError, StepFailed) as error:
        return error


def _record(history: RunHistory, replies: Mapping[str, TrialReply], report: Reporter) -> None:
    """Write the ends into the run's journal, and its page."""
    ended = {host: reply for host, reply in replies.items() if reply.state not in _GOES_ON}
    if not ended:
        return
    with sealing.recovered(history.folder, report):
        with closing(Journal(history.folder, None)) as book:
            for host, reply in ended.items():
                end = TrialEnded(host, reply.state, reply.since, reply.problems, now())
                book.write(end)
                history.trial_ends[host] = end
                sentence = trial_sentence(end.state, end.since)
                report(host, "; ".join([f"{history.header.run}: {sentence}", *end.problems]))
        if change_page.has_page(history):
            change_page.write_page(history.folder, report)

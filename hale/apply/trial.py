"""A run on trial, `fix --apply --try 10m`: each host undoes it by itself unless it is confirmed.

Before its first change a host gets a program that undoes the run, made of the scripts that `invoke
undo` runs there, and a timer that starts it. Neither needs the operator's machine or the network.
The host records each step beside its backup, so the program undoes those that were applied.
"""

import base64
import binascii
import re
import shlex
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

import msgspec

from hale.apply import backup
from hale.apply.gates import NodeStatus
from hale.apply.handlers import handler_of, inverse_changes
from hale.apply.journal import TrialStarted, now
from hale.apply.prepared import HOME, RUNS, PreparedStep, StepFailed, answers_parsed
from hale.model import results
from hale.model.change import Action, Impact, ManualStep, SymlinkChange
from hale.model.errors import UserError
from hale.plan.plan import Plan, Step
from hale.report.change.model import TrialState
from hale.shell import load_script, variables
from hale.ssh import RemoteError, Session, SessionPool
from hale.ssh.remote import ATOMIC_WRITE, PRELUDE
from hale.ssh.remote.files import failure_text, stderr_text

HERE = Path(__file__).parent
TIMEOUT = 60.0  # seconds
PATIENCE = 300  # seconds to wait for a host that is undoing the run
SHORTEST, LONGEST = 60, 24 * 3600  # seconds of --try
_UNITS = {"s": 1, "m": 60, "h": 3600}
_NEEDED = "systemctl flock base64 sha256sum"


def parse_window(typed: str) -> int:
    """Seconds of `90s`, `10m` or `2h`. Raises UserError."""
    found = re.fullmatch(r"([0-9]{1,5})([smh])", typed)
    seconds = int(found[1]) * _UNITS[found[2]] if found else 0
    if not SHORTEST <= seconds <= LONGEST:
        raise UserError(f"--try is a time from 1m to 24h, as 90s, 10m or 2h; not {typed!r}.")
    return seconds


def check_plan(made: Plan, membership: Mapping[str, NodeStatus]) -> None:
    """Raises UserError for a plan with a change that its host cannot undo by itself."""
    reasons: dict[str, None] = {}
    for host in made.hosts:
        if host.steps and membership[host.host].joined:
            reasons[
                f"{host.host} is part of a cluster: its changes and their undo wait for the "
                "cluster's health, which the host alone cannot know"
            ] = None
        for step in host.steps:
            change = step.change
            if Impact.IRREVERSIBLE in change.effects:
                reasons[f"`{change.describe()}` cannot be undone"] = None
            elif Impact.NEEDS_REBOOT in change.effects:
                reasons[f"`{change.describe()}` shows its effect only after a reboot"] = None
    if reasons:
        raise UserError(
            f"nothing was changed: --try is refused, because {'; '.join(reasons)}. Leave them out "
            "with --only or --hosts, or apply without --try."
        )


def require_support(sessions: SessionPool, hosts: list[str]) -> None:
    """Raises UserError where a host has no systemd, or lacks a program that the undo needs."""
    script = (
        f"{PRELUDE}[ -d /run/systemd/system ] || {{ echo systemd; exit; }}\n"
        f"for each in {_NEEDED}; do command -v $each >/dev/null || echo $each; done\n"
    )
    for host in hosts:
        try:
            done = sessions.session(host).run(script, TIMEOUT)
        except RemoteError as error:
            raise UserError(f"nothing was changed: {host}: {error}") from None
        if done.exit_status or done.stdout:
            missing = stderr_text(done.stdout or done.stderr)
            raise UserError(
                f"nothing was changed: --try needs systemd on the host to undo the run, and {host} "
                f"lacks {missing}. Apply without --try."
            )


def started(host: str, seconds: int) -> TrialStarted:
    """The journal's entry of a trial that begins now."""
    return TrialStarted(host, seconds, results.utc(time.time() + seconds), now())


def step_script(run: str, script: str) -> str:
    """The script of a step, which records on the host that it was begun and done."""
    return (
        variables(trial=_folder(run))
        + load_script(HERE / "trial_step.sh")
        + f"run_on_trial {shlex.quote(script)}\n"
    )


def arm(session: Session, run: str, steps: Mapping[int, PreparedStep], seconds: int) -> None:
    """Begin the trial on a host: the program, the timer, and the mark that keeps other runs away.

    Raises StepFailed, with nothing of it left, and what Session.run raises.
    """
    content = base64.encodebytes(program(run, steps).encode(errors="surrogateescape")).decode()
    script = (
        _prelude(run)
        + variables(seconds=str(seconds))
        + load_script(HERE / "trial_arm.sh")
        + f"arm <<'END' || give_up\n{content}END\n"
    )
    done = session.run("exec /bin/sh", TIMEOUT, script.encode())
    if done.exit_status:
        reason = failure_text(done.exit_status, done.stderr)
        raise StepFailed(f"nothing was changed, because the trial could not begin: {reason}")


def program(run: str, steps: Mapping[int, PreparedStep]) -> str:
    """The program by which the host undoes these steps, if they were applied: POSIX sh.

    steps: by number. The order is that of `invoke undo`.
    """
    settled: list[str] = []
    undone: list[tuple[int, str]] = []
    for number, prepared in sorted(steps.items(), reverse=True):
        change = prepared.step.change
        check = handler_of(change).apply_script(prepared)
        settled.append(
            _call("settle", prepared.folder, str(number), change.describe(), f"checking=1\n{check}")
        )
        undone += _undo_calls(run, number, prepared)
    undone.sort(key=lambda call: call[0])
    return "".join(
        (
            "{\n",
            backup.STEP_PRELUDE,
            load_script(HERE / "backup.sh"),
            _variables(run),
            load_script(HERE / "trial.sh"),
            load_script(HERE / "trial_undo.sh"),
            *settled,
            *(call for _, call in undone),
            "finish\n} </dev/null\n",
        )
    )


def _undo_calls(run: str, number: int, prepared: PreparedStep) -> Iterator[tuple[int, str]]:
    """The calls that undo a step, each with its stage (UndoStage)."""
    change = prepared.step.change
    for count, inverse in enumerate(inverse_changes(prepared, ()), 1):
        if isinstance(inverse, ManualStep):
            continue
        name = f"{number}.{count}"
        yield inverse.undo_stage, _undo_call(run, name, prepared, inverse)
    if handler_of(change).prints_removed_links(change):
        links = SymlinkChange("/", "", None, "")
        handler = handler_of(links)
        call = _call(
            "undo_links",
            prepared.folder,
            f"{number}.links",
            "1",
            handler.script_body(handler.backup),
            handler.script_body(handler.apply),
        )
        yield links.undo_stage, call


def _undo_call(run: str, name: str, prepared: PreparedStep, inverse: Action) -> str:
    handler = handler_of(inverse)
    folder = f"{_folder(run)}/{name}"
    after = handler.sha256_after(inverse, None)
    step = PreparedStep(Step(prepared.step.requirements, inverse), folder, after, ())
    return _call(
        "undo",
        prepared.folder,
        name,
        inverse.describe(),
        "1" if handler.wants_daemon_reload(inverse) else "",
        "1" if handler.needs_fresh_units(inverse) else "",
        handler.backup_script(step),
        handler.apply_script(step),
    )


def _call(function: str, *arguments: str) -> str:
    return f"{function} {shlex.join(arguments)}\n"


class TrialReply(msgspec.Struct, frozen=True):
    """What a host reports of its trial. since: when that state began, by the host's clock.

    undone: changes that the host undid. problems: those that it could not, and why.
    """

    state: TrialState
    since: str
    undone: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def end(session: Session, run: str, goal: TrialState | None) -> TrialReply:
    """End a trial that is pending, or with None only ask; returns how it stands on the host.

    goal: CONFIRMED or CANCELLED. A host that is undoing the run is waited for. Raises StepFailed,
    and what Session.run raises.
    """
    script = (
        _prelude(run)
        + variables(goal=goal.value if goal else "", patience=str(PATIENCE))
        + load_script(HERE / "trial_end.sh")
    )
    done = session.run(script, PATIENCE + TIMEOUT)
    if done.exit_status:
        raise StepFailed(failure_text(done.exit_status, done.stderr))
    with answers_parsed(session.target.name):
        return _parse_reply(done.stdout.decode("ascii"))


def _parse_reply(output: str) -> TrialReply:
    """Raises ValueError for what trial_end.sh cannot have printed."""
    first, *lines = output.splitlines()
    word, _, since = first.partition(" ")
    if since:
        since = results.utc(datetime.fromisoformat(since).timestamp())
    undone, problems = [], []
    for line in lines:
        kind, _, encoded = line.split(" ")
        try:
            text = stderr_text(base64.b64decode(encoded, validate=True))
        except binascii.Error:
            raise ValueError(f"not base64: {encoded[:40]}") from None
        if kind == "undone":
            undone.append(text)
        else:
            problems.append(f"{kind}: {text}")
    return TrialReply(TrialState(word), since, tuple(undone), tuple(problems))


def _folder(run: str) -> str:
    return f"{RUNS}/{run}/trial"


def _variables(run: str) -> str:
    unit = "hale-try-" + re.sub(r"[^\w.:-]", "_", run, flags=re.ASCII)
    return variables(trial=_folder(run), run=run, unit=unit, HALE_HOME=HOME)


def _prelude(run: str) -> str:
    return PRELUDE + ATOMIC_WRITE + _variables(run) + load_script(HERE / "trial.sh")

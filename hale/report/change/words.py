"""The sentences of a change page, made from its states and counts."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from hale.report.change.comparison import BeforeAndAfter, Movement
from hale.report.change.model import (
    Approval,
    ChangeReport,
    ChangeState,
    Operation,
    Outcome,
    PlanSource,
    Rehearsal,
    Reversal,
    SignatureCheck,
    TrialState,
)
from hale.report.jinja import utc
from hale.report.text import fold_hostnames

NOT_MADE = (
    Outcome.REFUSED,
    Outcome.FAILED,
    Outcome.SKIPPED,
    Outcome.NOT_APPLIED,
    Outcome.NOT_BEGUN,
    Outcome.NOT_REVERTED,
)
_UNFINISHED = (ChangeState.RUNNING, ChangeState.CRASHED)


class Banner(NamedTuple):
    """A box at the top of the page. tone: red, amber or blue."""

    tone: str
    head: str
    text: str


class Approved(NamedTuple):
    """A line of the approval block. code: it is a digest or a command."""

    name: str
    value: str
    code: bool = False


def subject(report: ChangeReport) -> str:
    """What the page is about: `fix 2026-…`, `undo of 2026-…`, `plan of a fix`."""
    if report.state is ChangeState.PLANNED:
        return f"plan of {'an' if report.kind is Operation.INSTALL else 'a'} {report.kind.value}"
    of = f" of {report.of}" if report.of else ""
    return f"{report.kind.value}{of}, {report.run}"


def tone(report: ChangeReport) -> str:
    """The colour of the banner: plan, good, bad; mild for a change that was made as planned, where
    other results fail or are not judged: that is no compliance."""
    if report.state is ChangeState.PLANNED:
        return "plan"
    finished = report.state is ChangeState.FINISHED and not report.count(*NOT_MADE)
    kept = not any(one.state in _NOT_KEPT for one in report.trials)
    if not finished or not kept or _worse(report):
        return "bad"
    return "mild" if _not_compliant(report.comparison) else "good"


def _not_compliant(comparison: BeforeAndAfter | None) -> bool:
    if comparison is None:
        return False
    return bool(comparison.counts[Movement.NOT_JUDGED] or _still_failed(comparison))


def _worse(report: ChangeReport) -> bool:
    """Whether a result is broken, or could not be judged although it was before."""
    if report.kind in (Operation.INSTALL, Operation.DRILL):
        return bool(_still_failed(report.comparison))
    if report.comparison is None:
        return report.kind is Operation.FIX
    if report.kind is Operation.UNDO:  # what the run had fixed fails again, as before it
        return False
    return bool(report.comparison.counts[Movement.BROKEN] or _open_targets(report))


def _still_failed(comparison: BeforeAndAfter | None) -> int:
    return sum(row.still_failed for row in comparison.rows) if comparison else 0


def _open_targets(report: ChangeReport) -> int:
    """Results that a step was for, and that fail or are unknown at the end."""
    if report.comparison is None:
        return 0
    targets = {(h.host, r) for h in report.hosts for a in h.actions for r in a.requirements}
    return sum(
        row.still_failed and (row.host, row.requirement) in targets
        for row in report.comparison.rows
    )


def verdict(report: ChangeReport) -> str:
    """The change in one sentence."""
    actions = sum(1 for _ in report.actions)
    hosts = sum(bool(h.actions) for h in report.hosts)
    everything = f"{_count(actions, 'change')} on {_count(hosts, 'host')}"
    if report.state is ChangeState.PLANNED:
        are = "is" if actions == 1 else "are"
        forecast = _forecast(report.comparison)
        return f"Nothing has been changed: {everything} {are} planned{forecast}."
    if report.state is ChangeState.NOT_BEGUN:
        return f"Nothing was changed: the run ended before the first of {everything}."
    parts = [_done(report, actions, hosts), *_others(report)]
    if undone := sum(one.state in _NOT_KEPT for one in report.trials):
        parts.append(f"not kept on {_count(undone, 'host')}")
    results = _results(report)
    sentence = ", ".join(parts) + (f"; {results}" if results else "")
    return f"{_START[report.state]}{sentence}."


_START = {
    ChangeState.RUNNING: "In progress when this page was written: ",
    ChangeState.FINISHED: "",
    ChangeState.FAILED: "Incomplete: ",
    ChangeState.INTERRUPTED: "Interrupted: ",
    ChangeState.CRASHED: "Interrupted without an end: ",
}
_SHORT = {
    Outcome.UNCHANGED: "already so",
    Outcome.REFUSED: "refused",
    Outcome.FAILED: "failed",
    Outcome.SKIPPED: "skipped",
    Outcome.NOT_APPLIED: "not applied",
    Outcome.NOT_BEGUN: "not begun",
    Outcome.NOT_KNOWN: "not known",
    Outcome.NOT_REVERTED: "not reverted",
}


def _done(report: ChangeReport, actions: int, hosts: int) -> str:
    done = report.count(Outcome.DONE)
    noun, verb = _DEEDS.get(report.kind, ("change", "made"))
    where = f"{verb} on {_count(hosts, 'host')}"
    if done == actions:
        return f"{_count(done, noun)} {where}"
    return f"{done} of {_count(actions, noun)} {where}"


# What a change of a kind consists of, and what became of each when it is done.
_DEEDS = {Operation.DRILL: ("fault", "injected and reverted")}


def _others(report: ChangeReport) -> list[str]:
    found = [(report.count(outcome), text) for outcome, text in _SHORT.items()]
    return [f"{count} {text}" for count, text in found if count]


def _forecast(comparison: BeforeAndAfter | None) -> str:
    if comparison is None:
        return ""
    planned = comparison.counts[Movement.PLANNED]
    others = comparison.unchanged_failed
    more = f"; {_count(others, 'failed result')} without a change" if others else ""
    return f", for {_count(planned, 'failed result')}{more}"


def _results(report: ChangeReport) -> str:
    comparison = report.comparison
    if comparison is None or not comparison.audited_after:
        return "" if report.kind not in (Operation.FIX, Operation.UNDO) else "not audited since"
    counts = comparison.counts
    if report.kind in (Operation.INSTALL, Operation.DRILL):
        failing = _still_failed(comparison) or "none"
        waived = f", {counts[Movement.WAIVED]} waived" if counts[Movement.WAIVED] else ""
        audited = _count(len(comparison.rows), "result")
        return f"{audited} audited, {failing} failed or unknown{waived}"
    fixed, broken = counts[Movement.FIXED], counts[Movement.BROKEN]
    parts = [f"{_count(fixed, 'result')} fixed", f"{broken or 'none'} broken"]
    if report.kind is Operation.UNDO:  # what the run had fixed fails again: that is its purpose
        parts = [f"{_count(broken, 'result')} no longer passing", f"{fixed} fixed"]
    if comparison.unchanged_failed:
        parts.append(f"{comparison.unchanged_failed} still failing")
    if counts[Movement.NOT_JUDGED]:
        parts.append(f"{counts[Movement.NOT_JUDGED]} not judged")
    return ", ".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def counts(report: ChangeReport) -> Mapping[Movement, int]:
    """The tiles: how many results moved in each way, in the order of Movement."""
    if report.comparison is None:
        return {}
    found = report.comparison.counts
    unused = (
        (Movement.FIXED, Movement.BROKEN)
        if report.state is ChangeState.PLANNED
        else (Movement.PLANNED,)
    )
    shown = [m for m in Movement if m not in unused and (m is not Movement.NEW or found[m])]
    return {movement: found[movement] for movement in shown}


_IMPACTS = {
    Operation.INSTALL: "On hosts that are in no cluster, an install interrupts no traffic. Of a "
    "cluster that has hosts already, control-plane nodes are changed one at a time, in health, and "
    "workers are cordoned and drained before a step that interrupts what runs there. No host is "
    "rebooted.",
    Operation.RESET: "What the cluster runs on these hosts stops, and its data on them is "
    "deleted. Nodes that leave a cluster of other hosts are drained first. No host is rebooted.",
    Operation.JOIN: "A join interrupts nothing: it makes accounts on the member, and objects of "
    "Karmada's own apiserver.",
    Operation.LEAVE: "What Karmada has placed on the member is removed there, and stops.",
    Operation.DRILL: "Each fault interrupts what it stops until it is reverted.",
}


def impact_note(report: ChangeReport) -> str:
    """What a change of this kind interrupts, where its steps alone do not have it."""
    return _IMPACTS.get(report.kind, "")


_RECOVERED_NEXT = (
    "What became of a step that is not known, the next `invoke fix --apply` or `invoke undo` finds "
    "out on the host."
)
_RECOVERY = {
    Operation.INSTALL: "Run the install again: it observes each phase, and completes it.",
    Operation.RESET: "Run the reset again: it observes what remains, and removes it.",
    Operation.JOIN: "Run the join again: it makes what is missing.",
    Operation.LEAVE: "Run the leave again: it removes what remains.",
    Operation.DRILL: "`invoke drill --revert` reverts what the drill left.",
}


_TRIALS = {
    TrialState.CONFIRMED: "confirmed",
    TrialState.CANCELLED: "ended by an undo",
    TrialState.UNDONE: "undone by the host",
    TrialState.INCOMPLETE: "undone by the host, but not all of it",
    TrialState.NONE: "no record on the host: only an audit shows its state",
}
# Trials after which a host has not all that the run has changed.
_NOT_KEPT = (TrialState.UNDONE, TrialState.INCOMPLETE, TrialState.NONE)


def trial_sentence(state: TrialState, since: str) -> str:
    """How a trial ended. since: UTC in ISO 8601, "" if it is not known."""
    return f"{_TRIALS.get(state, state.value)}{f' at {utc(since)}' if since else ''}"


def _trial_banners(report: ChangeReport) -> Iterator[Banner]:
    """The hosts of a run on trial by how it ended there, and those where it goes on."""
    waiting = [one for one in report.trials if one.state is TrialState.PENDING]
    if waiting:
        until = min(one.until for one in waiting)
        yield Banner(
            "amber",
            "ON TRIAL",
            f"From {utc(until)} on, {fold_hostnames([one.host for one in waiting])} undo this run "
            f"by themselves, unless `invoke confirm {report.run}` comes before; it also reports "
            "which hosts have done so.",
        )
    ended: dict[tuple[TrialState, str, tuple[str, ...]], list[str]] = {}
    for one in report.trials:
        if one.state in _NOT_KEPT:
            ended.setdefault((one.state, one.since, one.problems), []).append(one.host)
    for (state, since, problems), hosts in ended.items():
        details = f": {'; '.join(problems)}" if problems else ""
        yield Banner(
            "red",
            "NOT CONFIRMED",
            f"{fold_hostnames(hosts)}: {trial_sentence(state, since)}{details}.",
        )


def warnings(report: ChangeReport) -> list[Banner]:
    """What a reader must know first."""
    found = [*_trial_banners(report)]
    again = f"`invoke report {report.run} --format change` makes it from the journal as it is then."
    if report.state is ChangeState.RUNNING:
        found.append(
            Banner(
                "amber",
                "IN PROGRESS",
                f"This page was written at {utc(report.made_at)}, before the run ended. A step "
                f"without an entry may have been done since. {again}",
            )
        )
    if report.count(Outcome.NOT_REVERTED):
        found.append(
            Banner(
                "red",
                "NOT REVERTED",
                "A fault is not known to be reverted. `invoke drill --revert` reverts what the "
                "drill left; docs/drills.md has what to do by hand.",
            )
        )
    if report.state is ChangeState.CRASHED and report.kind is not Operation.DRILL:
        found.append(
            Banner(
                "red",
                "INTERRUPTED",
                "The run's process ended without a last entry in the journal, as after kill -9 or "
                "a power cut. Each step has an entry on disk before it begins, so a step that is "
                f"not begun changed nothing. {_RECOVERY.get(report.kind, _RECOVERED_NEXT)}",
            )
        )
    elif report.count(Outcome.NOT_KNOWN) and report.state is not ChangeState.RUNNING:
        found.append(
            Banner(
                "red",
                "NOT KNOWN",
                "The host's answer to a step was lost. "
                f"{_RECOVERY.get(report.kind, _RECOVERED_NEXT)}",
            )
        )
    comparison = report.comparison
    if comparison and report.kind is Operation.FIX and comparison.counts[Movement.BROKEN]:
        found.append(
            Banner("red", "BROKEN", "Results that passed before fail afterwards; see below.")
        )
    if report.state is ChangeState.PLANNED:
        found.append(
            Banner(
                "blue",
                "FOR APPROVAL",
                "Approve the SHA-256 below: only the plan with this digest is applied. Planning "
                "again makes a plan with another digest, and voids the approval. So does a change "
                "of the inventory or of the baseline.",
            )
        )
    return found


_SOURCES = {
    PlanSource.UNRECORDED: "not recorded",
    PlanSource.MADE_NOW: "none: the plan was made by the run itself, and confirmed by its operator",
    PlanSource.FILE: "a saved plan, applied without naming its SHA-256",
    PlanSource.DIGEST: "a saved plan whose SHA-256 was named for the run (--sha256)",
}


def approval(report: ChangeReport) -> list[Approved]:
    """The approval block."""
    given = report.approval
    planned = report.state is ChangeState.PLANNED
    none = "to be filled in" if planned else "not recorded"
    found = []
    if given.plan_sha256:
        found.append(Approved("SHA-256 of the plan", given.plan_sha256, code=True))
    if given.author:
        found.append(Approved("author", f"{given.author}, {utc(given.planned_at)}"))
    found += [
        Approved("approved by", given.approver or none),
        Approved("ticket", given.ticket or none),
        Approved("window", given.window or none),
    ]
    if planned:
        return [*found, *_signature(given), Approved("applied by", "not applied yet")]
    found.append(Approved("approval checked", _SOURCES[given.source]))
    found += _signature(given)
    if given.operator:
        by = f"{given.operator} on {given.source_host}"
        until = utc(given.ended) or "no end in the journal"
        found.append(Approved("applied by", f"{by}, {utc(given.started)} to {until}"))
    else:
        found.append(Approved("applied by", "not applied"))
    return found


def _signature(given: Approval) -> list[Approved]:
    """The line about the approver's signature; none where it is not known whether there is one."""
    match given.signature:
        case SignatureCheck.VERIFIED:
            by = f"verified: signed by {given.signer} with the {given.signer_key}"
        case SignatureCheck.NOT_VERIFIED:
            by = (
                f"NOT VERIFIED: signed with the {given.signer_key}, and there was no "
                "allowed_signers beside the inventory"
            )
        case SignatureCheck.NOT_SIGNED:
            by = "none"
        case SignatureCheck.UNRECORDED if given.sign:
            return [Approved("the approver signs by", given.sign, code=True)]
        case SignatureCheck.UNRECORDED:
            return []
    return [Approved("signature of the approver", by)]


_REVERSALS = {
    Reversal.UNDO: "This restores the files, modes, owners, units and kernel values of before the "
    "run, newest first. A file that was edited since is not touched without --force.",
    Reversal.UNDONE_BY_RESET: "This removes the cluster from its hosts, with all data in it.",
    Reversal.INSTALL_AGAIN: "Cannot be undone: the cluster's data is deleted. A new install makes "
    "a new cluster.",
    Reversal.LEAVE: "This takes the cluster out of the federation again, and removes what Karmada "
    "has placed there since.",
    Reversal.JOIN_AGAIN: "This makes the cluster a member again. Karmada then places what its "
    "policies name it for; data of workloads that were removed is lost.",
    Reversal.DRILL_REVERT: "This reverts each fault that an interrupted drill left.",
    Reversal.NOT_NEEDED: "Nothing is left to undo.",
}


def reversal(report: ChangeReport) -> str:
    """How the change is undone, and how long that took in rehearsal."""
    return _reversal(report) + _rehearsed(report.rehearsal)


def _reversal(report: ChangeReport) -> str:
    if report.state is ChangeState.PLANNED and report.kind is Operation.FIX:
        return (
            "`invoke undo RUN` restores the files, modes, owners, units and kernel values of "
            "before the run; RUN is the folder that the run prints."
        )
    return _REVERSALS[report.reversal]


def _rehearsed(found: Rehearsal | None) -> str:
    if found is None:
        return ""
    where = f"on {_count(found.hosts, 'host')} in {found.seconds:.1f} s"
    return f" Rehearsed: {found.run} undid the same changes {where}, at {utc(found.at)}."

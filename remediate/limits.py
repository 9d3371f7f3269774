"""Limits of a login: the baseline's lines in limits.conf, and none that takes precedence.

A line with a higher value is kept: no limit is lowered. A line with a lower value, for the domain
or for the user that is tried, is replaced or commented out; a package's line is overridden by a
file that is read after it.

Sources: as in facts/limits.py.
"""

from collections.abc import Iterator, Sequence
from posixpath import basename, dirname

from facts.limits import FOLDER, ROOT, LimitsLine, LimitsParameters, LimitsPersisted, LimitsRuntime
from facts.parsers import conf_dirs
from facts.parsers.limits_conf import Rank
from hale.model.change import (
    COMMENTED,
    AppendLine,
    FileEdit,
    Impact,
    ManualStep,
    Remedy,
    ReplaceLine,
)
from hale.model.remedy_scope import RemedyScope
from hale.model.requirement import Case

KINDS = (FileEdit,)
IMPACTS: tuple[Impact, ...] = ()


def scope(parameters: LimitsParameters) -> RemedyScope:
    """The files of pam_limits."""
    return RemedyScope(files=("/etc/security/limits.conf", "/etc/security/limits.d/*.conf"))


SIDES = ("soft", "hard")


def fix_runtime(fact: LimitsRuntime, case: Case[LimitsParameters]) -> tuple[Remedy, ...]:
    """The remedy of the files, where they are wrong: a new login gets the limits that they set."""
    if fact.stack:
        return (_stack(fact.stack),)
    if fact.lowered:
        return (
            ManualStep(
                f"{fact.lowered}. Take that `ulimit` out, or raise it to what the baseline wants: "
                "a hard limit that a start-up file lowers cannot be raised again in that login."
            ),
        )
    if fact.files is None:
        return (
            ManualStep(
                f"{fact.actual}, and the files of pam_limits could not be read: see "
                "`persisted` of this requirement first."
            ),
        )
    changes = fix_persisted(fact.files, case)
    if any(not isinstance(change, ManualStep) for change in changes):
        return ()
    return changes or (
        ManualStep(
            f"{fact.actual}, though the files of pam_limits say more ({fact.files.actual}). "
            "Either they were changed a moment ago and a new login complies, or pam_limits may not "
            "raise a limit above sshd's: see `journalctl -t sshd`, the host's own limits if it "
            "is a container (CAP_SYS_RESOURCE), and LimitNOFILE=, LimitNPROC= and "
            "LimitMEMLOCK= of the service sshd; a new limit of the service needs its restart, "
            "with a second session open."
        ),
    )


def fix_persisted(fact: LimitsPersisted, case: Case[LimitsParameters]) -> tuple[Remedy, ...]:
    """Wrong lines are corrected; files that comply stay as they are. Open sessions keep their
    limits."""
    wanted = case.parameters
    changes: list[Remedy] = [_stack(fact.stack)] if fact.stack else []
    if fact.refused:
        what = f"{wanted.item} {wanted.least}"
        changes.append(
            ManualStep(
                f"{what} is {fact.refused}; with such a line logins could fail for all users. "
                "Raise fs.nr_open by a line of sysctl.d, or lower the value in the inventory."
            )
        )
        return tuple(changes)
    # Two links may lead to the same file.
    bad = list(
        {(line.file, line.source.line): line for line in fact.lines if _bad(line, wanted)}.values()
    )
    sited = [line for line in bad if conf_dirs.is_editable(line.file)]
    theirs = [line for line in bad if line not in sited]
    rank = Rank.MINE if wanted.domain == ROOT else Rank.DEFAULT
    for line in theirs:
        if line.frees or line.rank < rank:
            changes.append(_closer(line, wanted))
    theirs = [line for line in theirs if not line.frees and line.rank == rank]
    open_sides = [side for side in SIDES if not _covered(side, fact.lines, theirs, wanted)]
    place = _behind(theirs, fact.place)
    for line in sited:
        change, closed = _fixed(line, open_sides if line.file == place else [], wanted)
        changes.append(change)
        open_sides = [side for side in open_sides if side not in closed]
    changes.extend(_added(open_sides, place, theirs, wanted))
    return tuple(changes)


def _bad(line: LimitsLine, wanted: LimitsParameters) -> bool:
    """Whether it sets less than required, and the baseline's line does not take precedence."""
    if line.frees:
        return True
    beaten = wanted.domain == ROOT and line.rank > Rank.MINE
    return not beaten and line.value is not None and line.value < wanted.wanted


def _covered(
    side: str, lines: Sequence[LimitsLine], theirs: Sequence[LimitsLine], wanted: LimitsParameters
) -> bool:
    """Whether a line of the domain sets enough, after those that cannot be edited."""
    last = max(
        (n for n, line in enumerate(lines) if line in theirs and _sets(line, side)), default=-1
    )
    return any(
        line.domain == wanted.domain
        and _sets(line, side)
        and not line.frees
        and line.value is not None
        and line.value >= wanted.wanted
        for line in lines[last + 1 :]
    )


def _sets(line: LimitsLine, side: str) -> bool:
    return line.soft if side == "soft" else line.hard


def _behind(theirs: Sequence[LimitsLine], place: str | None) -> str | None:
    """The file that is read after all lines that cannot be edited; limits.conf is read first."""
    folder = dirname(FOLDER)
    in_folder = [basename(line.source.path) for line in theirs if _in_folder(line.source.path)]
    last = max(in_folder, default="")
    if place is None or not last or (_in_folder(place) and last < basename(place)):
        return place
    return conf_dirs.sorts_after(f"{folder}/{basename(place)}", last)


def _in_folder(path: str) -> bool:
    return basename(dirname(path)) == basename(dirname(FOLDER))


def _fixed(
    line: LimitsLine, open_sides: Sequence[str], wanted: LimitsParameters
) -> tuple[Remedy, Sequence[str]]:
    """The edit that replaces the line by the baseline's or comments it out, and the sides set."""
    at, text = line.source.line, line.source.text
    sides = [side for side in open_sides if _sets(line, side)]
    who = "" if line.domain == wanted.domain else f" for {line.domain}"
    if sides and line.domain == wanted.domain and not line.frees:
        new = _line(text.split()[1].lower(), wanted)
        why = f"{line.file}:{at} must give at least {wanted.least} for {wanted.item}."
        return FileEdit(line.file, (ReplaceLine(at, text, new),), why), sides
    less = "takes its users out of all limits" if line.frees else f"gives less {wanted.item}"
    why = f"{line.file}:{at} {less}{who} than {wanted.least}."
    if line.frees:
        why = f"{line.file}:{at} {less}: {wanted.item} would stay as sshd has it."
    return FileEdit(line.file, (ReplaceLine(at, text, COMMENTED),), why), []


def _added(
    sides: Sequence[str], place: str | None, theirs: Sequence[LimitsLine], wanted: LimitsParameters
) -> Iterator[Remedy]:
    if not sides:
        return
    if place is None:
        yield ManualStep(
            f"{wanted.file} cannot take new lines, nor can a file of {dirname(FOLDER)}: they are "
            "links to a package's file, masks, or no files. Make one a plain file and plan again."
        )
        return
    edits = tuple(AppendLine(_line(side, wanted)) for side in sides)
    over = " and ".join(str(line.source) for line in theirs)
    behind = f", read after {over}, which must not be edited" if over else ""
    why = f"{place}{behind}, gives {wanted.domain} {wanted.item} {wanted.least} at a login."
    yield FileEdit(place, edits, why)


def _line(kind: str, wanted: LimitsParameters) -> str:
    return f"{wanted.domain} {kind} {wanted.item} {wanted.least}"


def _closer(line: LimitsLine, wanted: LimitsParameters) -> ManualStep:
    return ManualStep(
        f"{line.source} (`{line.source.text}`) is a package's and beats a line for "
        f"{wanted.domain}: put a file of the same name into {dirname(FOLDER)} without that line."
    )


def _stack(why: str) -> ManualStep:
    return ManualStep(
        f"{why}. An error here locks everybody out, so no change is made: with a second session "
        "of root open, say `UsePAM yes` in /etc/ssh/sshd_config (`sshd -t`, then reload), take an "
        "option `-o UsePAM=no` from sshd's command line (then restart it), or add "
        "`session required pam_limits.so` to /etc/pam.d/sshd, as the distribution's package has "
        "it, and try a new login before closing the old one."
    )

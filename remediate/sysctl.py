"""Kernel parameters: the value now, and a line of sysctl.d that wins at boot.

Only the parameter itself is written, never all of sysctl.d, which would set values that were not
requested. The line is in the baseline's own file. A site's line that wins over it is commented
out; one of a package, in /run, or that cannot be commented out is overridden by a file that is
read after it.

Sources: as in facts/sysctl.py; the kernel's net/ipv4/devinet.c, inet_forward_change.
"""

from collections.abc import Iterable, Iterator, Sequence
from posixpath import basename

from facts.parsers import conf_dirs
from facts.parsers.sysctl_table import normalized, number, path_of
from facts.sysctl import (
    PROGRAM,
    SERVICE,
    SysctlLine,
    SysctlParameters,
    SysctlPersisted,
    SysctlRuntime,
    dotted,
)
from hale.model.change import (
    COMMENTED,
    AppendLine,
    FileEdit,
    Impact,
    KernelValueChange,
    ManualStep,
    ModuleChange,
    Remedy,
    ReplaceLine,
)
from hale.model.evidence import matches
from hale.model.remedy_scope import RemedyScope
from hale.model.requirement import Case

KINDS = (FileEdit, KernelValueChange, ModuleChange)
IMPACTS = (Impact.DISRUPTS_TRAFFIC,)
_DELIBERATE = (
    "That was set for single interfaces: make sure that none of them carries packets of Pods or "
    "services."
)


def scope(parameters: SysctlParameters) -> RemedyScope:
    """The value and those that the kernel changes with it, the module that makes it, and lines."""
    return RemedyScope(
        files=("/etc/sysctl.d/*.conf", "/etc/sysctl.conf"),
        modules=(parameters.module,) if parameters.module else (),
        kernel_values=tuple(
            map(path_of, (parameters.key, *parameters.disturbs, *parameters.leads))
        ),
    )


def fix_runtime(fact: SysctlRuntime, case: Case[SysctlParameters]) -> tuple[Remedy, ...]:
    """The value is written; where the kernel lacks the parameter, its module is loaded."""
    wanted = case.parameters
    if wanted.met_by(fact.value) and fact.exceptions:
        return tuple(
            ManualStep(
                f"{key} is {value} in the kernel, and {wanted.key} is {wanted.value}. "
                f"{_DELIBERATE} Then `sysctl -w {key}={wanted.value}`."
            )
            for key, value in fact.exceptions
        )
    if fact.value is not None:
        why = f"{wanted.key} is {fact.value} in the kernel and must be {_stated(wanted)}."
        keep, follow = (tuple(map(path_of, keys)) for keys in (wanted.disturbs, wanted.leads))
        path, now, then = path_of(wanted.key), str(fact.value), str(wanted.value)
        # A module's parameter sends packets through rules that did not apply to them before.
        costs = (Impact.DISRUPTS_TRAFFIC,) if wanted.module else ()
        return (KernelValueChange(path, now, then, why, keep, costs, follow),)
    if wanted.module:
        why = (
            f"The kernel has {wanted.key} only with {wanted.module}; once that is loaded it may "
            "need its value in a second run."
        )
        return (ModuleChange(wanted.module, why, effects=(Impact.DISRUPTS_TRAFFIC,)),)
    return (
        ManualStep(
            f"This kernel has no {wanted.key} ({path_of(wanted.key)}) and the baseline names no "
            "module that makes it: boot a kernel that has it."
        ),
    )


def fix_persisted(fact: SysctlPersisted, case: Case[SysctlParameters]) -> tuple[Remedy, ...]:
    """The baseline's line is set in the baseline's file, and no other line wins over it."""
    wanted = case.parameters
    if fact.unread:
        return (
            ManualStep(
                f"{fact.unread}, so no file of sysctl.d sets {wanted.key} at boot. That was "
                f"deliberate: find out why (`systemctl cat {SERVICE}`), have the service run "
                f"`{PROGRAM}` again (`systemctl unmask` or `systemctl revert {SERVICE}`), and plan "
                "again."
            ),
        )
    apart = (*_exceptions(fact, wanted), *_later(fact))
    if wanted.met_by(fact.value) and not fact.differs:
        return apart
    if fact.place is None:
        return (
            ManualStep(
                f"{wanted.file} cannot take the line: it is a mask, no file, or leads to a file "
                "of a package, and so is the one beside it. Make it a plain file and plan again."
            ),
        )
    wrong = [line for line in fact.lines if _wrong(line, wanted)]
    own = [line for line in wrong if line.file == fact.place]
    above = [line for line in wrong if line.file != fact.place and _beats(line, fact.place, wanted)]
    theirs = [line for line in (*own, *above) if not _commentable(line)]
    sited = [line for line in above if _commentable(line)]
    place = _behind(theirs, fact.place)
    return (
        *_in_own_file(fact, [line for line in own if _commentable(line)], place, wanted),
        *_elsewhere(place, theirs, fact, wanted),
        *_commented(sited, wanted),
        *apart,
    )


def _later(fact: SysctlPersisted) -> Iterator[Remedy]:
    for line in fact.later:
        yield ManualStep(
            f"{line} sets it to another value after {SERVICE}: {line.text}. Change that line, or "
            "what makes it."
        )


def _exceptions(fact: SysctlPersisted, wanted: SysctlParameters) -> Iterator[Remedy]:
    """A line for single interfaces stays: only the site knows what they are for."""
    wrong = [line for line in fact.lines if _wrong(line, wanted) and _commentable(line)]
    done = {(line.file, line.source.line) for line in wrong}
    for line in fact.exceptions:
        if (line.file, line.source.line) in done:
            continue
        yield ManualStep(
            f"{line.source} sets {dotted(line.key)} to {line.value} apart from {wanted.key}. "
            f"{_DELIBERATE} Then take the line out, or override it by one that is read later."
        )


def _wrong(line: SysctlLine, wanted: SysctlParameters) -> bool:
    """Whether the line could set another value. A pattern skips keys that have their own line."""
    if line.value is None:
        return line.key == normalized(wanted.key)
    if line.pattern and not any(
        matches(f"/{normalized(key)}", f"/{line.key}") for key in wanted.same_as
    ):
        return False
    return not wanted.met_by(number(line.value))


def _beats(line: SysctlLine, place: str, wanted: SysctlParameters) -> bool:
    """Whether it is read after ours, or sets another name of the variable, in its own order."""
    return line.key != normalized(wanted.key) or basename(line.source.path) >= basename(place)


def _commentable(line: SysctlLine) -> bool:
    """Whether it is neither a package's nor in /run, nor has a carriage return, which would end
    the comment."""
    return conf_dirs.is_editable(line.file) and "\r" not in line.source.text


def _behind(theirs: Sequence[SysctlLine], place: str) -> str:
    """The file that is read after all lines that cannot be commented out."""
    last = max((basename(line.source.path) for line in theirs), default="")
    return place if last < basename(place) else conf_dirs.sorts_after(place, last)


def _stated(wanted: SysctlParameters) -> str:
    return f"at least {wanted.value}" if wanted.at_least else f"{wanted.value}"


def _line(key: str, fact: SysctlPersisted, wanted: SysctlParameters) -> str:
    """The baseline's line; a minimum is raised where another line has more, to lower nothing."""
    more = (number(line.value) for line in fact.lines if line.value is not None)
    met = [value for value in more if value is not None and wanted.met_by(value)]
    return f"{key} = {max((wanted.value, *met))}"


def _in_own_file(
    fact: SysctlPersisted, wrong: Sequence[SysctlLine], place: str, wanted: SysctlParameters
) -> Iterator[Remedy]:
    """Replaces the first wrong line of the key and comments out the others, or adds a line."""
    assert fact.place
    name = normalized(wanted.key)
    right = any(
        line.file == fact.place and line.key == name and not _wrong(line, wanted)
        for line in fact.lines
    )
    for line in wrong:
        new = COMMENTED
        if line.key == name and line.value is not None and not right:
            new, right = _line(wanted.key, fact, wanted), True
        why = f"{line.file}:{line.source.line} must set {wanted.key} to {_stated(wanted)}."
        yield FileEdit(line.file, (ReplaceLine(line.source.line, line.source.text, new),), why)
    if not right and place == fact.place:
        why = f"A boot sets {wanted.key} to {_stated(wanted)} by a line of {place}."
        yield FileEdit(place, (AppendLine(_line(wanted.key, fact, wanted)),), why)


def _elsewhere(
    place: str, theirs: Sequence[SysctlLine], fact: SysctlPersisted, wanted: SysctlParameters
) -> Iterator[Remedy]:
    """Overrides lines that cannot be commented out, under the variable's other names too."""
    others = [
        k for k in wanted.same_as if any(line.key != normalized(wanted.key) for line in theirs)
    ]
    keys = [*([wanted.key] if place != fact.place else []), *others]
    if keys:
        where = " and ".join(str(line.source) for line in theirs)
        edits = tuple(AppendLine(_line(key, fact, wanted)) for key in keys)
        why = f"{where} must not be edited, and {place}, which is read after it, wins over it."
        yield FileEdit(place, edits, why)


def _commented(lines: Iterable[SysctlLine], wanted: SysctlParameters) -> Iterator[Remedy]:
    done: set[tuple[str, int]] = set()
    for line in lines:
        at = line.file, line.source.line
        if at in done:
            continue
        done.add(at)
        why = f"{line.file}:{line.source.line} wins over the line that sets {wanted.key}."
        yield FileEdit(line.file, (ReplaceLine(at[1], line.source.text, COMMENTED),), why)

"""A kernel module: loaded now, named for the next boot, with no rule that prevents loading it.

A rule of the site is commented out. A package's file is copied to /etc under its own name, with
the rule commented out; modprobe.d(5) specifies that override.

Sources: as in facts/br_netfilter.py.
"""

from collections.abc import Iterable, Iterator
from posixpath import basename, dirname

from facts.br_netfilter import (
    RULES,
    SERVICE,
    BrNetfilterParameters,
    BrNetfilterPersisted,
    BrNetfilterRuntime,
    Rule,
)
from facts.parsers import conf_dirs
from hale.model.change import (
    COMMENTED,
    AppendLine,
    FileEdit,
    Impact,
    ManualStep,
    ModuleChange,
    Remedy,
    ReplaceLine,
)
from hale.model.remedy_scope import RemedyScope
from hale.model.requirement import Case
from remediate import boot_loader

KINDS = (FileEdit, ModuleChange)
IMPACTS = (Impact.DISRUPTS_TRAFFIC,)
OURS = dirname(RULES[0])


def scope(parameters: BrNetfilterParameters) -> RemedyScope:
    """The module, its name in modules-load.d, and rules against it."""
    return RemedyScope(
        files=("/etc/modules-load.d/*.conf", f"{OURS}/*.conf"), modules=(parameters.module,)
    )


def fix_runtime(fact: BrNetfilterRuntime, case: Case[BrNetfilterParameters]) -> tuple[Remedy, ...]:
    """The module is loaded, unless the kernel cannot load modules or is already loading it."""
    if fact.state:
        return (
            ManualStep(
                f"{fact.module} is {fact.state.lower()}: wait until that is over and plan again. "
                "If it never is, only a reboot helps."
            ),
        )
    if not fact.modular:
        return (
            ManualStep(
                f"This kernel loads no modules and has no {fact.module} built in: boot one that "
                "has it."
            ),
        )
    traffic = case.parameters.traffic
    why = f"{fact.module} {fact.how}. {traffic}".rstrip()
    effects = (Impact.DISRUPTS_TRAFFIC,) if traffic else ()
    return (ModuleChange(fact.module, why, effects=effects),)


def fix_persisted(
    fact: BrNetfilterPersisted, case: Case[BrNetfilterParameters]
) -> tuple[Remedy, ...]:
    """A line is added that names it, and rules of modprobe.d against it are commented out."""
    return (
        *([] if fact.named else _naming(fact, case.parameters)),
        *_ruled_out(fact.rules),
        *_not_files(fact),
    )


def _naming(fact: BrNetfilterPersisted, wanted: BrNetfilterParameters) -> Iterator[Remedy]:
    if fact.place:
        why = f"A boot loads {fact.module} because {fact.place} names it; no line did."
        yield FileEdit(fact.place, (AppendLine(wanted.module),), why)
    else:
        yield ManualStep(
            f"{wanted.file} cannot take the name: it is a mask, no file, or leads to a file of a "
            "package, and so is the one beside it. Make it a plain file and plan again."
        )


def _ruled_out(rules: Iterable[Rule]) -> Iterator[Remedy]:
    copied: dict[str, list[Rule]] = {}
    for rule in rules:
        where, note = rule.source, rule.source.note
        if rule.pattern:
            yield ManualStep(
                f"{where} {note}, and other modules as well: `{where.text}`. See what else it is "
                "for and make it narrower."
            )
        elif conf_dirs.volatile(rule.file):
            yield ManualStep(
                f"{where} {note}. A boot empties /run, so a program writes this file again: find "
                "it and have it stop."
            )
        elif conf_dirs.is_editable(rule.file):
            at = where.line
            why = f"{rule.file}:{at} {note}."
            # A backslash at its end extends the comment to the lines that continue it.
            yield FileEdit(rule.file, (ReplaceLine(at, rule.lines[at - 1], COMMENTED),), why)
        elif _copyable(rule.lines):
            copied.setdefault(where.path, []).append(rule)
        else:
            yield ManualStep(
                f"{where} {note}. Copy the file to {OURS}/{basename(where.path)} and comment "
                "the line there."
            )
    for path, found in copied.items():
        yield _copy(path, found)


def _copyable(lines: Iterable[str]) -> bool:
    """Whether the lines are known byte for byte, and each can be written separately."""
    return not any(c in line for line in lines for c in ("\\", "\r", "****"))


def _copy(path: str, rules: list[Rule]) -> Remedy:
    """A copy of the package's file under its name in /etc, where it hides the original."""
    against = {rule.source.line for rule in rules}
    edits = tuple(
        AppendLine(COMMENTED.replace("{}", line) if count in against else line)
        for count, line in enumerate(rules[0].lines, 1)
        if line.strip()
    )
    notes = " and ".join(f"{rule.source} {rule.source.note}" for rule in rules)
    why = f"{notes}; a package's file is overruled by its copy in {OURS}, never edited."
    return FileEdit(f"{OURS}/{basename(path)}", edits, why)


def _not_files(fact: BrNetfilterPersisted) -> Iterator[Remedy]:
    """Manual steps for masks of the service and for kernel arguments."""
    lines = {str(rule.source) for rule in fact.rules}
    for source in fact.blocked:
        argument = source.text.partition("=")[0]
        if argument in ("module_blacklist", "modprobe.blacklist"):
            why = f"The kernel argument `{source.text}` of {source} {source.note}."
            yield boot_loader.remove_argument_step(source, argument, why)
        elif source.note.startswith("unloads"):
            yield ManualStep(f"{source} {source.note}: take that out of what a boot runs.")
        elif str(source) not in lines:
            yield ManualStep(
                f"{source} {source.note}, so no file of modules-load.d is read. That was "
                f"deliberate: find out why (`systemctl cat {SERVICE}`), then `systemctl unmask "
                f"{SERVICE}` or `systemctl revert {SERVICE}`, and "
                "plan again."
            )

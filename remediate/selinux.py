"""SELinux is set to permissive at once, and to the baseline's mode from the next boot on.

Only the line that libselinux reads is replaced. `disabled` takes effect at the next boot; files
created while it is disabled have no label, so enabling SELinux again requires relabelling. Where
a site accepts only modes that enforce more than the present one, the steps are manual: SELinux
could deny what runs now.

Sources: selinux_config(5), selinux(8), setenforce(8), fixfiles(8); the kernel's
admin-guide/kernel-parameters (selinux=, enforcing=).
"""

from facts.selinux import (
    CONFIG,
    DISABLED,
    ENFORCE,
    ENFORCING,
    PERMISSIVE,
    SelinuxParameters,
    SelinuxPersisted,
    SelinuxRuntime,
)
from hale.model.change import (
    AppendLine,
    FileEdit,
    Impact,
    KernelValueChange,
    LineEdit,
    ManualStep,
    Remedy,
    ReplaceLine,
)
from hale.model.evidence import ConfigLine
from hale.model.remedy_scope import RemedyScope
from hale.model.requirement import Case
from remediate import boot_loader

KINDS = (FileEdit, KernelValueChange)
IMPACTS = (Impact.NEEDS_REBOOT,)


def scope(parameters: SelinuxParameters) -> RemedyScope:
    """The configuration, and the file that turns permissive on."""
    return RemedyScope(files=(CONFIG,), kernel_values=(ENFORCE,))


def fix_runtime(fact: SelinuxRuntime, case: Case[SelinuxParameters]) -> tuple[Remedy, ...]:
    """Permissive at once, as `setenforce 0` does, where that is accepted."""
    accepted = case.parameters.modes_until_boot
    if fact.mode == DISABLED:
        return (
            ManualStep(
                f"SELinux is disabled now, and only a boot starts it. See `persisted`: {CONFIG} "
                f"must say {' or '.join(accepted)}, and the first boot must relabel the files "
                "(`fixfiles -F onboot`, then reboot; permissive first, so that the host boots)."
            ),
        )
    if fact.mode != ENFORCING or PERMISSIVE not in accepted:
        return (
            ManualStep(
                f"SELinux is {fact.mode} now, and accepted is {' or '.join(accepted)}. See what "
                "enforcing would deny (`ausearch -m avc -ts boot`) and that no file lacks its "
                "label (`restorecon -Rnv /etc /usr /var`), then `setenforce 1`."
            ),
        )
    why = f"SELinux is {fact.mode} now: {fact.why}; permissive, it only logs what it would refuse."
    return (KernelValueChange(ENFORCE, "1", "0", why),)


def fix_persisted(fact: SelinuxPersisted, case: Case[SelinuxParameters]) -> tuple[Remedy, ...]:
    """The configuration's line is set; kernel arguments that override it are manual steps."""
    modes = case.parameters.modes
    changes: list[Remedy] = []
    if fact.strange:
        changes.append(
            ManualStep(
                f"{CONFIG} is not a file: see what it is (`ls -ld {CONFIG}`), and put a file there "
                f"with the line SELINUX={modes[0]}."
            )
        )
    elif fact.configured not in modes and modes[0] == ENFORCING:
        changes.append(_enforce(fact))
    elif fact.configured not in modes:
        changes.append(_configuration(fact, modes[0]))
    changes += [_argument(source, modes[0]) for source in fact.against]
    return tuple(changes)


def _enforce(fact: SelinuxPersisted) -> ManualStep:
    where = str(fact.line) if fact.line else CONFIG
    return ManualStep(
        f"{fact.actual}. A host that boots with SELinux and without labels may not start: write "
        f"SELINUX={PERMISSIVE} ({where}), relabel (`fixfiles -F onboot`), reboot, see what "
        f"enforcing would deny (`ausearch -m avc -ts boot`), and only then write "
        f"SELINUX={ENFORCING}."
    )


def _argument(source: ConfigLine, mode: str) -> ManualStep:
    if not source.note:
        return ManualStep(
            f"the kernel of {source} starts without SELinux, and nothing there says so: for "
            f"{mode}, put `security=selinux selinux=1` (Debian: `selinux-activate`) on its "
            "command line, and let the first boot relabel the files."
        )
    why = f"{source} has {source.note}, whatever {CONFIG} says."
    return boot_loader.remove_argument_step(source, source.note, why)


def _configuration(fact: SelinuxPersisted, mode: str) -> FileEdit:
    text = f"SELINUX={mode}"
    effects = (Impact.NEEDS_REBOOT,) if mode == DISABLED else ()
    line = fact.line
    edit: LineEdit = ReplaceLine(line.line, line.text, text) if line else AppendLine(text)
    current = f"{line} says {fact.configured}" if line else f"{CONFIG} names no mode"
    back = ", and going back needs `fixfiles onboot`" if mode == DISABLED else ""
    return FileEdit(
        CONFIG, (edit,), f"{current}; {mode} applies from the next boot on{back}.", effects
    )

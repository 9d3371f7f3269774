"""SELinux is permissive at once, and what the standard says after a boot.

Only the line that libselinux reads is replaced. Where `disabled` is asked for, it is so after
the next boot; files that are made meanwhile have no label, so going back needs relabelling.

Sources: selinux_config(5), selinux(8), setenforce(8), fixfiles(8); the kernel's
admin-guide/kernel-parameters (selinux=, enforcing=).
"""

from facts.selinux import CONFIG, DISABLED, ENFORCE, Parameters, Persisted, Runtime
from hale.change import Append, ByHand, Change, Edit, Effect, FileChange, Replace, ValueChange
from hale.fact import Source
from hale.requirement import Case
from remediate import boot_loader


def runtime(fact: Runtime, case: Case[Parameters]) -> tuple[Change, ...]:
    """As `setenforce 0` does."""
    why = f"SELinux is {fact.mode} now: {fact.why}; permissive, it only logs what it would refuse."
    return (ValueChange(ENFORCE, "1", "0", why),)


def persisted(fact: Persisted, case: Case[Parameters]) -> tuple[Change, ...]:
    """The configuration's line; kernel arguments that win over it are for a person."""
    modes = case.parameters.modes
    changes: list[Change] = []
    if fact.strange:
        changes.append(
            ByHand(
                f"{CONFIG} is no file: see what it is (`ls -ld {CONFIG}`), and put a file there "
                f"with the line SELINUX={modes[0]}."
            )
        )
    elif fact.configured not in modes:
        changes.append(_configuration(fact, modes[0]))
    changes += [_argument(source, modes[0]) for source in fact.against]
    return tuple(changes)


def _argument(source: Source, mode: str) -> ByHand:
    if not source.note:
        return ByHand(
            f"the kernel of {source} starts without SELinux, and nothing there says so: for "
            f"{mode}, put `security=selinux selinux=1` (Debian: `selinux-activate`) on its "
            "command line, and let the first boot relabel the files."
        )
    why = f"{source} has {source.note}, whatever {CONFIG} says."
    return boot_loader.taken_out(source, source.note, why)


def _configuration(fact: Persisted, mode: str) -> FileChange:
    text = f"SELINUX={mode}"
    effects = (Effect.REBOOT,) if mode == DISABLED else ()
    line = fact.line
    edit: Edit = Replace(line.line, line.text, text) if line else Append(text)
    said = f"{line} says {fact.configured}" if line else f"{CONFIG} names no mode"
    back = ", and going back needs `fixfiles onboot`" if mode == DISABLED else ""
    return FileChange(
        CONFIG, (edit,), f"{said}; {mode} it is from the next boot on{back}.", effects
    )

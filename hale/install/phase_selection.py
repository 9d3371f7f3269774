"""Which phases a run of `invoke install` is to carry out."""

from hale.install.options import InstallOptions
from hale.install.scheduler import phase_names
from hale.model.errors import UserError

GATE, AUDIT = "gate", "audit"


def selected_phases(options: InstallOptions) -> list[str]:
    """The names of the selected phases, `gate` and `audit` included. Raises UserError."""
    every = [GATE, *phase_names(), AUDIT]
    for given, option in ((options.until, "--until"), (options.phase, "--phase")):
        if given and given not in every:
            raise UserError(f"{option}: no phase {given!r}; there are: {', '.join(every)}.")
    if options.phase and options.until:
        raise UserError("--phase runs one phase, --until all up to one: give only one of them.")
    if options.phase:
        return [options.phase]
    return every[: every.index(options.until) + 1] if options.until else every

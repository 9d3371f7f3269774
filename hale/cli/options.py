"""Options that several `invoke` commands share: their help texts, and the old names of some."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.parser.argument import Argument
from invoke.tasks import Task

from hale.paths import ROOT

REPORTS = "folder in which each run creates its own (default: reports/)"
HOSTS = "which hosts, as in pytest --hosts (default: all)"
INVENTORY = "the inventory (default: inventory.ini)"
YES = "do not ask for confirmation"
FORCE_UNLOCK = "break a stale lock left by a run that has died"
APPROVED_BY = "who approved the change, for the journal"
TICKET = "the change's ticket, for the journal"

# New name -> old name. The old names work until the next release.
RENAMED = {
    "allow_production": "on_production",
    "allow_quorum_loss": "i_accept_losing_quorum",
    "force_unlock": "take_lock",
    "ignore_preflight_errors": "despite",
    "phase": "only",
    "until": "to",
}


def reports(typed: str) -> Path:
    """The folder that --reports names, or reports/ of the tree."""
    return Path(typed).absolute() if typed else ROOT / "reports"


def flag(name: str) -> str:
    """The option of a parameter: `--force-unlock` of `force_unlock`."""
    return f"--{name.replace('_', '-')}"


def is_typed(name: str) -> bool:
    """Whether the command line has that parameter's option."""
    return any(word.partition("=")[0] == flag(name) for word in sys.argv[1:])


def warn_renamed(old: str, new: str) -> None:
    """Tell on standard error what an old spelling is called now."""
    print(
        f"{old} is now called {new}; the old name will be removed in the next release.",
        file=sys.stderr,
    )


class Command(Task[Any]):
    """A task whose renamed options (RENAMED) keep their old spelling and their letter.

    An old name is known to the parser only where it is typed, so that --help does not list it.
    `invoke TASK --help` also works where the task begins with a positional word, which invoke
    itself would take `--help` for. A positional parameter with a default may be left out only
    together with the option
    `without_positional`.
    """

    def __init__(self, *args: Any, without_positional: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._without_positional = without_positional

    def __call__(self, context: Context, *args: Any, **kwargs: Any) -> Any:
        if any(word in ("--help", "-h") for word in (*args, *kwargs.values())):
            name = next(w for w in sys.argv[1:] if w.rpartition(".")[2] == self.name)
            raise Exit(code=subprocess.run([sys.argv[0], "--help", name], check=False).returncode)
        for new, old in self._old_names():
            warn_renamed(flag(old), flag(new))
        return super().__call__(context, *args, **kwargs)

    def arg_opts(self, name: str, default: Any, taken_names: set[str]) -> dict[str, Any]:
        """invoke's description of a parameter, with the old name and the letter of the old name."""
        found: dict[str, Any] = super().arg_opts(name, default, taken_names)
        if old := RENAMED.get(name):
            letter = next((c for c in flag(old)[2:] if c not in taken_names), "")
            found["names"] = [found["names"][0], *(letter if letter.isalpha() else "")]
            if is_typed(old):
                found["names"].append(flag(old)[2:])
        return found

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """invoke's description of all parameters."""
        found: list[Argument] = super().get_arguments(ignore_unknown_help)
        for argument in found:
            if argument.positional and self._without_positional:
                argument.positional = not is_typed(self._without_positional)
                argument.default = None if argument.positional else ""
        return found

    def _old_names(self) -> Iterator[tuple[str, str]]:
        """(new, old) of this task's renamed options that were typed by their old name."""
        for name in self.argspec(self.body).parameters:
            if name in RENAMED and is_typed(RENAMED[name]):
                yield name, RENAMED[name]

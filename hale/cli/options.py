"""Options that several `invoke` commands share: their help texts, and the old names of some."""

import inspect
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.parser.argument import Argument
from invoke.tasks import Task

from hale.model.errors import UserError
from hale.paths import ROOT
from hale.report.text import escape_lines

if TYPE_CHECKING:
    from hale.ssh.inventory_targets import LoginOptions

REPORTS = "folder in which each run creates its own (default: reports/)"
HOSTS = "which hosts, as in pytest --hosts (default: all)"
INVENTORY = "the inventory (default: inventory.ini)"
YES = "do not ask for confirmation"
FORCE_UNLOCK = "break a stale lock left by a run that has died"
APPROVED_BY = "who approved the change, for the journal"
TICKET = "the change's ticket, for the journal"
WINDOW = "when the change may be made, in words, for the journal and the page"
NO_DRAIN = "do not drain workers before they are interrupted"
DRAIN_TIMEOUT = "seconds for a worker's pods to be evicted (default: 300)"

#: How a command logs in: the parameters, by the names of pytest's options, with default and help.
LOGIN: dict[str, tuple[str | bool | int, str]] = {
    "ask_become_pass": (False, "ask once for the hosts' sudo password"),
    "ssh_config": ("", "the ssh configuration to use instead of ~/.ssh/config"),
    "ssh_identity_file": ("", "the private key of hosts for which the inventory names none"),
    "connect_timeout": ("", "seconds for the login to a host (default: 20)"),
}

#: How a change is approved and carried out, of a fix and of an undo: as LOGIN.
CHANGE: dict[str, tuple[str | bool | int, str]] = {
    "yes": (False, YES),
    "approved_by": ("", APPROVED_BY),
    "ticket": ("", TICKET),
    "window": ("", WINDOW),
    "max_fail": (1, "stop a group after this many of its hosts have failed (default: 1)"),
    "batch": (
        "10%",
        "workers of a cluster that are changed at the same time after the first one, a number or "
        "a percentage, as Ansible's serial (default: 10%)",
    ),
    "no_drain": (False, NO_DRAIN),
    "drain_timeout": (300, DRAIN_TIMEOUT),
    "force_unlock": (False, FORCE_UNLOCK),
    "reports": ("", REPORTS),
}


class ChangeArguments(NamedTuple):
    """The values of CHANGE, as typed."""

    yes: bool
    approved_by: str
    ticket: str
    window: str
    max_fail: int
    batch: str
    no_drain: bool
    drain_timeout: int
    force_unlock: bool
    reports: str


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


def words_after(word: str) -> int:
    """The number of words after that one, without options and the values of long ones."""
    rest = sys.argv[sys.argv.index(word) + 1 :] if word in sys.argv else []
    count = 0
    while rest:
        typed = rest.pop(0)
        if not typed.startswith("-"):
            count += 1
        elif typed.startswith("--") and "=" not in typed and rest:
            rest.pop(0)
    return count


def require_values(**given: str | None) -> None:
    """Raises UserError for an option without a value, such as one of a variable that is not set.

    given: by parameter; None where it is not typed.
    """
    for name, value in given.items():
        if value is not None and not value.strip():
            raise UserError(f"{flag(name)} has no value: give it one, or leave it out.")


def warn_renamed(old: str, new: str) -> None:
    """Tell on standard error what an old spelling is called now."""
    print(
        f"{old} is now called {new}; the old name will be removed in the next release.",
        file=sys.stderr,
    )


def login_options(
    *, ask_become_pass: bool, ssh_config: str, ssh_identity_file: str, connect_timeout: str
) -> "LoginOptions":
    """The login options, with the sudo password typed at the terminal if it has to be.

    Raises UserError for an invalid timeout, and without a terminal to ask on.
    """
    from hale.ssh.inventory_targets import LOGIN_TIMEOUT, LoginOptions, ask_become_password

    try:
        seconds = float(connect_timeout or LOGIN_TIMEOUT)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise UserError("--connect-timeout is a number of seconds, above 0.")
    password = ask_become_password() if ask_become_pass else None
    return LoginOptions(
        ssh_config or None, ssh_identity_file or None, ask_become_pass, password, seconds
    )


_CHANGE = "change"
# By the parameter of a body that gets their values.
_GROUPS: Mapping[str, Mapping[str, tuple[str | bool | int, str]]] = {
    _CHANGE: CHANGE,
    "login": LOGIN,
}


def _defaults(group: str) -> dict[str, Any]:
    return {name: default for name, (default, _) in _GROUPS[group].items()}


class Command(Task[Any]):
    """A task whose renamed options (RENAMED) keep their old spelling and their letter.

    An old name is known to the parser only where it is typed, so that --help does not list it.
    `invoke TASK --help` also works where the task begins with a positional word, which invoke
    itself would take `--help` for. A positional parameter with a default may be left out only
    together with the option
    `without_positional`. more_positional: by a word, the parameters that are positional only after
    it, such as BEFORE and AFTER of `report diff`; as many as there are words.

    A task with a parameter `login` has the options of LOGIN, and gets LoginOptions of them; one
    with `change` those of CHANGE, and gets ChangeArguments.

    A UserError, or an OSError of a file, ends the command with its text and exit status 1, Ctrl-C
    with `interrupted` and 130. Hosts' text in either cannot drive the terminal.
    """

    def __init__(
        self,
        *args: Any,
        without_positional: str = "",
        more_positional: Mapping[str, Sequence[str]] | None = None,
        interrupted: str = "interrupted",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._without_positional = without_positional
        self._more_positional = dict(more_positional or {})
        self._interrupted = interrupted

    def __call__(self, context: Context, *args: Any, **kwargs: Any) -> Any:
        if any(word in ("--help", "-h") for word in (*args, *kwargs.values())):
            name = next(w for w in sys.argv[1:] if w.rpartition(".")[2] == self.name)
            raise Exit(code=subprocess.run([sys.argv[0], "--help", name], check=False).returncode)
        for new, old in self._old_names():
            warn_renamed(flag(old), flag(new))
        for group in self._groups():
            typed = {name: kwargs.pop(name) for name in _GROUPS[group] if name in kwargs}
            kwargs[group] = self._value(group, _defaults(group) | typed)
        try:
            return super().__call__(context, *args, **kwargs)
        except UserError as error:
            raise Exit(f"{self.name}: {escape_lines(str(error))}", code=1) from None
        except OSError as error:
            if error.filename is None:
                raise
            text = f"{error.filename}: {error.strerror}."
            raise Exit(f"{self.name}: {escape_lines(text)}", code=1) from None
        except KeyboardInterrupt:
            raise Exit(self._interrupted, code=130) from None

    def _value(self, group: str, given: dict[str, Any]) -> "LoginOptions | ChangeArguments":
        if group == _CHANGE:
            return ChangeArguments(**given)
        try:
            return login_options(**given)
        except UserError as error:
            raise Exit(f"{self.name}: {error}", code=1) from None
        except KeyboardInterrupt:
            raise Exit("interrupted; nothing was done", code=130) from None

    def _groups(self) -> list[str]:
        """The parameters of the body that stand for a group of options."""
        return [name for name in super().argspec(self.body).parameters if name in _GROUPS]

    def argspec(self, body: Callable[..., Any]) -> inspect.Signature:
        """The parameters of the command line: those of the body, and of groups their options."""
        found: inspect.Signature = super().argspec(body)
        kind = inspect.Parameter.KEYWORD_ONLY
        every: list[inspect.Parameter] = []
        for name, parameter in found.parameters.items():
            if name in _GROUPS:
                every += [inspect.Parameter(n, kind, default=d) for n, d in _defaults(name).items()]
            else:
                every.append(parameter)
        return found.replace(parameters=every)

    def arg_opts(self, name: str, default: Any, taken_names: set[str]) -> dict[str, Any]:
        """invoke's description of a parameter, with the old name and the letter of the old name."""
        found: dict[str, Any] = super().arg_opts(name, default, taken_names)
        if name in LOGIN:
            found |= {"names": found["names"][:1], "help": LOGIN[name][1]}
        elif name in CHANGE and _CHANGE in self._groups():
            found["help"] = CHANGE[name][1]
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
        later = self._more_positional
        typed = {n for word, names in later.items() for n in names[: words_after(word)]}
        for argument in found:
            if any(argument.name in names for names in later.values()):
                argument.positional = argument.name in typed
                argument.default = None if argument.positional else ""
        return found

    def _old_names(self) -> Iterator[tuple[str, str]]:
        """(new, old) of this task's renamed options that were typed by their old name."""
        for name in self.argspec(self.body).parameters:
            if name in RENAMED and is_typed(RENAMED[name]):
                yield name, RENAMED[name]

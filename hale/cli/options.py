"""What several of invoke's commands are asked alike, in the words of their --help."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import Task

from hale.paths import ROOT

REPORTS = "where each run makes its folder (default: reports/)"
HOSTS = "which hosts, as in pytest --hosts (default: all)"
INVENTORY = "the inventory (default: inventory.ini)"
YES = "do it without asking"
TAKE_LOCK = "take a lock whose owner has gone"
APPROVED_BY = "who approved it, for the journal"
TICKET = "the change's ticket, for the journal"


def reports(typed: str) -> Path:
    """The folder that --reports names, or reports/ of the tree."""
    return Path(typed).absolute() if typed else ROOT / "reports"


class TaskWithHelp(Task[Any]):
    """A task whose first word may be --help: invoke would take that for the word itself."""

    def __call__(self, context: Context, *args: Any, **kwargs: Any) -> Any:
        if any(word in ("--help", "-h") for word in (*args, *kwargs.values())):
            name = next(w for w in sys.argv[1:] if w.rpartition(".")[2] == self.name)
            raise Exit(code=subprocess.run([sys.argv[0], "--help", name], check=False).returncode)
        return super().__call__(context, *args, **kwargs)

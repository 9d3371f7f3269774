"""What several of invoke's commands are asked alike, in the words of their --help."""

from pathlib import Path

from hale.provenance import ROOT

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

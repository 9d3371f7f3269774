"""What the parts of one run of `invoke install` share."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from hale.install.cluster_context import ClusterContext
from hale.install.options import InstallOptions
from hale.install.saved_plan import InstallPlan
from hale.inventory.ini import Inventory
from hale.ssh import SessionPool
from hale.standard.loader import Standard


@dataclass(frozen=True)
class InstallRun:
    """One run. plan: the saved plan that it carries out, if any; folder: its own, of reports."""

    options: InstallOptions
    plan: InstallPlan | None
    standard: Standard
    context: ClusterContext
    sessions: SessionPool
    folder: Path
    console: Console

    @property
    def inventory(self) -> Inventory:
        """The inventory of the cluster."""
        return self.context.inventory

    @property
    def ignored(self) -> tuple[str, ...]:
        """The requirements that may fail: those of --ignore-preflight-errors."""
        return self.options.ignore_preflight_errors

"""The options of an install or a reset."""

import shlex
from dataclasses import dataclass, field
from pathlib import Path

from hale.apply.worker_gate import DRAIN_TIMEOUT, check_drain_timeout
from hale.paths import ROOT
from hale.ssh.inventory_targets import LOGIN_TIMEOUT, LoginOptions


@dataclass(frozen=True)
class InstallOptions:
    """The options of one run, as typed.

    out: where --plan saves the plan. apply: the saved plan that is to be carried out; plan_sha256:
    of the approved one, "" if it was not named. drain, drain_timeout: whether workers that have
    joined are drained before they are interrupted; seconds. Raises UserError.
    """

    reports: Path
    inventory: Path | None = None
    fix: bool = False
    ignore_preflight_errors: tuple[str, ...] = ()
    until: str = ""
    phase: str = ""
    yes: bool = False
    force_unlock: bool = False
    approved_by: str = ""
    ticket: str = ""
    drain: bool = True
    drain_timeout: int = DRAIN_TIMEOUT
    login: LoginOptions = field(default_factory=LoginOptions)
    out: Path | None = None
    apply: Path | None = None
    plan_sha256: str = ""

    def __post_init__(self) -> None:
        check_drain_timeout(self.drain_timeout)

    @property
    def path(self) -> Path:
        """The path of the inventory."""
        return self.inventory or ROOT / "inventory.ini"

    @property
    def resume_command(self) -> str:
        """The command that resumes this run."""
        words = [".venv/bin/invoke", "install"]
        if self.inventory:
            words += ["--inventory", str(self.inventory)]
        if self.ignore_preflight_errors:
            words += ["--ignore-preflight-errors", ",".join(self.ignore_preflight_errors)]
        if self.fix:
            words.append("--fix")
        if self.yes:
            words.append("--yes")
        words += [] if self.drain else ["--no-drain"]
        if self.drain_timeout != DRAIN_TIMEOUT:
            words += ["--drain-timeout", str(self.drain_timeout)]
        login = self.login
        words += ["--ask-become-pass"] if login.become else []
        words += ["--ssh-config", login.ssh_config] if login.ssh_config else []
        words += ["--ssh-identity-file", login.identity_file] if login.identity_file else []
        if login.connect_timeout != LOGIN_TIMEOUT:
            words += ["--connect-timeout", f"{login.connect_timeout:g}"]
        return shlex.join(words)

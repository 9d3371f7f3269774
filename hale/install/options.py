"""The options of an install or a reset."""

import shlex
from dataclasses import dataclass, field
from pathlib import Path

from hale.paths import ROOT
from hale.ssh.inventory_targets import LOGIN_TIMEOUT, LoginOptions


@dataclass(frozen=True)
class InstallOptions:
    """The options of one run, as typed."""

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
    login: LoginOptions = field(default_factory=LoginOptions)

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
        login = self.login
        words += ["--ask-become-pass"] if login.become else []
        words += ["--ssh-config", login.ssh_config] if login.ssh_config else []
        words += ["--ssh-identity-file", login.identity_file] if login.identity_file else []
        if login.connect_timeout != LOGIN_TIMEOUT:
            words += ["--connect-timeout", f"{login.connect_timeout:g}"]
        return shlex.join(words)

"""The options of an install or a reset."""

import shlex
from dataclasses import dataclass, field
from pathlib import Path

from hale.apply.worker_gate import DRAIN_TIMEOUT, check_drain_timeout
from hale.paths import ROOT
from hale.plan.approval import MADE_NOW, PlanOrigin
from hale.ssh.inventory_targets import LOGIN_TIMEOUT, LoginOptions

_INSTALL = (".venv/bin/invoke", "install")


@dataclass(frozen=True)
class InstallOptions:
    """The options of one run, as typed.

    out: where --plan saves the plan. apply: the saved plan that is to be carried out; plan_sha256:
    of the approved one, "" if it was not named; origin: of it, once it is read. window: when the
    change may be made, in words.
    drain, drain_timeout: whether workers that have joined are drained before they are interrupted;
    seconds. Raises UserError.
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
    window: str = ""
    drain: bool = True
    drain_timeout: int = DRAIN_TIMEOUT
    login: LoginOptions = field(default_factory=LoginOptions)
    out: Path | None = None
    apply: Path | None = None
    plan_sha256: str = ""
    origin: PlanOrigin = MADE_NOW

    def __post_init__(self) -> None:
        check_drain_timeout(self.drain_timeout)

    @property
    def path(self) -> Path:
        """The path of the inventory."""
        return self.inventory or ROOT / "inventory.ini"

    @property
    def resume_advice(self) -> str:
        """What resumes this run: its command, or for a saved plan those of a new one."""
        scope = self._typed(
            inventory=str(self.inventory or ""),
            ignore_preflight_errors=",".join(self.ignore_preflight_errors),
            until=self.until,
            phase=self.phase,
        )
        changes = [
            *self._typed(fix=self.fix, yes=self.yes, no_drain=not self.drain),
            *self._typed(
                drain_timeout=str(self.drain_timeout) if self.drain_timeout != DRAIN_TIMEOUT else ""
            ),
        ]
        login = self._typed(
            ask_become_pass=self.login.become,
            ssh_config=self.login.ssh_config or "",
            ssh_identity_file=self.login.identity_file or "",
            connect_timeout=f"{self.login.connect_timeout:g}"
            if self.login.connect_timeout != LOGIN_TIMEOUT
            else "",
        )
        if self.apply is None:
            approval = self._typed(
                approved_by=self.approved_by, ticket=self.ticket, window=self.window
            )
            command = shlex.join([*_INSTALL, *scope, *changes, *approval, *login])
            return f"A new run resumes from here:\n    {command}"
        plan = shlex.join([*_INSTALL, *scope, "--plan", "--out", "FILE", *login])
        approved = ["--apply", "FILE", "--sha256", "DIGEST"]
        apply = shlex.join([*_INSTALL, *approved, *changes, *login])
        return f"What remains needs a new plan and its approval:\n    {plan}\n    {apply}"

    @staticmethod
    def _typed(**values: str | bool) -> list[str]:
        """The words of the options that have a value."""
        words = []
        for name, value in values.items():
            if value:
                words.append(f"--{name.replace('_', '-')}")
                words += [value] if isinstance(value, str) else []
        return words

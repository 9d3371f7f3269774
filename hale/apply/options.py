"""The options of `invoke fix` and `invoke undo`."""

from dataclasses import dataclass, field
from pathlib import Path

from hale.apply.gates import TENTH, BatchSize
from hale.apply.worker_gate import DRAIN_TIMEOUT, check_drain_timeout
from hale.model.errors import UserError
from hale.model.requirement import Profile, current_profile
from hale.ssh.inventory_targets import LoginOptions


@dataclass(frozen=True)
class ApplyOptions:
    """The options of the command line.

    max_fail: the number of failed hosts of a group at which the rest of it is stopped. batch: how
    many workers of a living cluster are changed at the same time, after the first one. drain,
    drain_timeout: whether they are drained before they are interrupted; seconds. plan_sha256: of
    the plan that was approved, "" if it was not named. window: when the change may be made, in
    words; it is recorded, not enforced. trial_seconds: after which the hosts undo the run by
    themselves unless it is confirmed; 0 for never.
    """

    reports: Path
    inventory: Path | None = None
    hosts: str = "all"
    profile: str = "baseline"
    yes: bool = False
    force_unlock: bool = False
    max_fail: int = 1
    approved_by: str = ""
    ticket: str = ""
    force: bool = False
    login: LoginOptions = field(default_factory=LoginOptions)
    batch: BatchSize = TENTH
    drain: bool = True
    drain_timeout: int = DRAIN_TIMEOUT
    plan_sha256: str = ""
    window: str = ""
    trial_seconds: int = 0

    def __post_init__(self) -> None:
        check_drain_timeout(self.drain_timeout)
        if self.max_fail < 1:
            raise UserError("--max-fail is a number of hosts, 1 or more.")
        if current_profile(self.profile) not in tuple(Profile):
            known = ", ".join(Profile)
            raise UserError(f"--profile: no profile {self.profile!r}; known: {known}.")

"""Runs with a journal: the owner and the header of a new one, and those of a reports folder."""

from collections.abc import Callable
from pathlib import Path

from msgspec import UNSET, UnsetType

from hale.apply import journal
from hale.apply.journal import RunApproval, RunHeader, RunHistory, now
from hale.apply.lock import Owner
from hale.files import provenance
from hale.model.errors import UserError
from hale.plan.approval import PlanOrigin


def new_owner(run: str) -> Owner:
    """The lock owner of that run: this operator, on this machine, now."""
    return Owner(provenance.operator(), provenance.control_host(), run, now())


def journal_header(
    owner: Owner,
    kind: str,
    inventory: Path,
    *,
    approved_by: str,
    ticket: str,
    plan_sha256: str = "",
    of: str = "",
    member: str | UnsetType = UNSET,
    host_inventory: str | UnsetType = UNSET,
) -> RunHeader:
    """The first entry of the journal of that owner's run."""
    return RunHeader(
        schema=journal.SCHEMA,
        run=owner.run,
        kind=kind,
        operator=owner.operator,
        source_host=owner.source_host,
        inventory=str(inventory),
        plan_sha256=plan_sha256,
        at=now(),
        of=of,
        approved_by=approved_by,
        ticket=ticket,
        member=member,
        host_inventory=host_inventory,
    )


def run_approval(origin: PlanOrigin, window: str) -> RunApproval:
    """The entry of the journal about the approval. window: when the change may be made."""
    return RunApproval(origin.source, window, now(), origin.check, origin.signer, origin.key)


def load_runs(
    reports: Path, unreadable: Callable[[UserError], None] | None = None
) -> list[RunHistory]:
    """All runs that have begun, the newest first.

    A journal without a complete first line, as a full disk leaves it, is of a run that has not
    begun. unreadable: called for each file that is no journal; None raises its UserError.
    """
    found = []
    for path in sorted(reports.glob(f"*/{journal.NAME}")):
        try:
            if (history := journal.read_run(path.parent)) is not None:
                found.append(history)
        except UserError as error:
            if unreadable is None:
                raise
            unreadable(error)
    return sorted(found, key=lambda s: s.header.run, reverse=True)


def find_run(reports: Path, name: str) -> RunHistory:
    """The run of that name, or of that path. Raises UserError, which names those there are."""
    folder = reports / Path(name).name
    if not (folder / journal.NAME).is_file():
        known = ", ".join(s.header.run for s in load_runs(reports, print)) or "none"
        raise UserError(f"no run {name!r} in {reports}; there are: {known}.")
    return journal.load_run(folder)

"""The lock: one run at a time for an inventory, one writer a host.

It is a file on every host of the inventory, made in one step, and names owner, run and time. It
also names the session of sshd's that made it: once that is gone, the run can do no more there,
and the lock is stale. A stale lock is taken by `--force-unlock` alone; one whose session lives is
never taken.
"""

from pathlib import Path

import msgspec

from hale.apply.prepared import HOME
from hale.ssh import Session
from hale.ssh.remote import ATOMIC_WRITE, PRELUDE, load_script, variables

PATH = f"{HOME}/lock"
HERE = Path(__file__).parent
_STALE, _LIVE = 44, 45  # exit statuses of lock.sh
TIMEOUT = 20.0


class Owner(msgspec.Struct, frozen=True):
    """Who holds a lock, since when (UTC), with which run."""

    operator: str
    source_host: str
    run: str
    since: str


class LockHeld(Exception):
    """Somebody else holds the lock; says who, and what to do."""


# lock.sh knows a session by the number of its leader and by when that started: proc(5), fields
# 6 and 22.
_PRELUDE = PRELUDE + variables(HALE_HOME=HOME, lock=PATH)
_LOCK = ATOMIC_WRITE + load_script(HERE / "lock.sh")
_UNLOCK = load_script(HERE / "unlock.sh")


def acquire(session: Session, owner: Owner, *, stale: bool) -> None:
    """Take the host's lock; `stale`: also one whose owner has gone.

    Raises Locked, and HostUnreachable as Session.run does.
    """
    mine = msgspec.json.encode(owner).decode()
    given = variables(
        owner=mine, break_stale="1" if stale else "", STALE=str(_STALE), LIVE=str(_LIVE)
    )
    script = _PRELUDE + given + _LOCK
    done = session.run(script, TIMEOUT, simple=True)
    name = session.target.name
    if done.exit_status in (_STALE, _LIVE):
        raise LockHeld(
            f"{name} is locked by {_parse_reply(done.stdout)}. {_next(done.exit_status, stale)}"
        )
    if done.exit_status:
        said = done.stderr.decode(errors="backslashreplace").strip()
        raise LockHeld(f"{name} cannot be locked: {said or f'exit status {done.exit_status}'}")


def _parse_reply(raw: bytes) -> str:
    try:
        owner = msgspec.json.decode(raw, type=Owner)
    except msgspec.DecodeError:
        return "something that is no lock of Hale's"
    return f"{owner.operator} on {owner.source_host} since {owner.since}, run {owner.run}"


def _next(status: int, stale: bool) -> str:
    if status == _LIVE:
        refused = (
            " --force-unlock does not break a lock whose owner is still connected." if stale else ""
        )
        return f"That run is connected to the host now: wait until it is over.{refused}"
    return (
        "Its connection is gone, so the lock is stale: that run was killed, lost its network, or "
        "the host was rebooted. Ask its owner, see `invoke runs` there, then say --force-unlock."
    )


def release(session: Session, owner: Owner) -> None:
    """Give the host's lock back, if it still is ours. Raises as Session.run does."""
    mine = msgspec.json.encode(owner).decode()
    script = _PRELUDE + variables(owner=mine) + _UNLOCK
    session.run(script, TIMEOUT, simple=True)

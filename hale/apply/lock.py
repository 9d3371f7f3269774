"""The lock: one run at a time for an inventory, one writer at a time for a host.

It is a file on every host of the inventory, created atomically, with the owner, the run, the time
and the session of sshd that made it. Once that session has ended, the run can do nothing more on
the host, and the lock is stale. Only `--force-unlock` breaks a stale lock; nothing breaks the lock
of a live session.
"""

from pathlib import Path

import msgspec

from hale.apply.journal import RUN_NAME
from hale.apply.prepared import HOME
from hale.shell import load_script, variables
from hale.ssh import Session
from hale.ssh.remote import ATOMIC_WRITE, PRELUDE

PATH = f"{HOME}/lock"
HERE = Path(__file__).parent
_STALE, _LIVE, _ON_TRIAL = 44, 45, 46  # exit statuses of lock.sh
TIMEOUT = 20.0  # seconds


class Owner(msgspec.Struct, frozen=True):
    """The holder of a lock: person, control host, run, and since when (UTC)."""

    operator: str
    source_host: str
    run: str
    since: str


class LockHeld(Exception):
    """The lock belongs to another run; the text says to whose, and what to do."""


# lock.sh identifies a session by its leader's process id and start time: proc(5), fields 6 and 22.
_PRELUDE = PRELUDE + variables(HALE_HOME=HOME, lock=PATH)
_LOCK = ATOMIC_WRITE + load_script(HERE / "lock.sh")
_UNLOCK = load_script(HERE / "unlock.sh")


def acquire(session: Session, owner: Owner, *, stale: bool, trial: str = "") -> None:
    """Acquire the host's lock. stale: break the lock of a session that has ended.

    trial: the run that may be on trial there; of any other one the lock is not acquired. Raises
    LockHeld, and HostUnreachable as Session.run does.
    """
    mine = msgspec.json.encode(owner).decode()
    given = variables(
        owner=mine,
        break_stale="1" if stale else "",
        trial=trial,
        STALE=str(_STALE),
        LIVE=str(_LIVE),
        ON_TRIAL=str(_ON_TRIAL),
    )
    script = _PRELUDE + given + _LOCK
    done = session.run(script, TIMEOUT, simple=True)
    name = session.target.name
    if done.exit_status == _ON_TRIAL:
        run = done.stdout.decode(errors="backslashreplace").strip()
        if not RUN_NAME.fullmatch(run):  # it becomes part of commands to type
            raise LockHeld(
                f"{name} has something on trial that is no run of Hale: see {HOME}/trial"
            )
        raise LockHeld(
            f"{name} has {run} on trial. `invoke confirm {run}` keeps its changes, `invoke undo "
            f"{run}` undoes them, and at the end of its window the host does so by itself"
        )
    if done.exit_status in (_STALE, _LIVE):
        raise LockHeld(
            f"{name} is locked by {_parse_reply(done.stdout)}. {_next(done.exit_status, stale)}"
        )
    if done.exit_status:
        stderr = done.stderr.decode(errors="backslashreplace").strip()
        reason = stderr or f"exit status {done.exit_status}"
        raise LockHeld(f"{name} cannot be locked: {reason}")


def _parse_reply(raw: bytes) -> str:
    try:
        owner = msgspec.json.decode(raw, type=Owner)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "something that is not a lock of Hale"
    return f"{owner.operator} on {owner.source_host} since {owner.since}, run {owner.run}"


def _next(status: int, stale: bool) -> str:
    if status == _LIVE:
        refused = (
            " --force-unlock does not break a lock whose owner is still connected." if stale else ""
        )
        return f"That run is connected to the host now: wait until it is over.{refused}"
    return (
        "Its connection is gone, so the lock is stale: that run was killed, lost its network, or "
        "the host was rebooted. Ask its owner, see `invoke runs` there, then pass --force-unlock."
    )


def release(session: Session, owner: Owner) -> None:
    """Release the host's lock, if it is still ours. Raises as Session.run does."""
    mine = msgspec.json.encode(owner).decode()
    script = _PRELUDE + variables(owner=mine) + _UNLOCK
    session.run(script, TIMEOUT, simple=True)

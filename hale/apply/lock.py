"""The lock: one run at a time for an inventory, one writer a host.

It is a file on every host of the inventory, made in one step, and names owner, run and time. It
also names the session of sshd's that made it: once that is gone, the run can do no more there,
and the lock is stale. A stale lock is taken by `--force-unlock` alone; one whose session lives is
never taken.
"""

import shlex

import msgspec

from hale.apply.prepared import HOME
from hale.ssh import Session

PATH = f"{HOME}/lock"
_TAKEN, _HELD = 44, 45
TIMEOUT = 20.0


class Owner(msgspec.Struct, frozen=True):
    """Who holds a lock, since when (UTC), with which run."""

    operator: str
    source_host: str
    run: str
    since: str


class LockHeld(Exception):
    """Somebody else holds the lock; says who, and what to do."""


# A session is known by the number of its leader and by when that started: proc(5), fields 6, 22.
_SCRIPT = f"""\
set -eu
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
umask 077
[ "$(id -u)" = 0 ] || {{
  echo "changes need root: put ansible_become=true into the inventory" >&2; exit 1
}}
mkdir -p {HOME}
exec 9<{HOME}
flock -w 10 9
field() {{
  n=$2; read -r l <"/proc/$1/stat"; set -- ${{l##*) }}; shift $((n - 1)); echo "$1"
}}
s=$(field $$ 4)
mine="$s $(field "$s" 20) $(cat /proc/sys/kernel/random/boot_id)"
if [ -e {PATH} ]; then
  owner= pid=0 start= boot=
  {{ read -r owner && read -r pid start boot; }} <{PATH} || :
  live=
  if [ "$boot" = "${{mine##* }}" ] && [ -e "/proc/$pid/stat" ]; then
    [ "$(field "$pid" 20)" != "$start" ] || live=1
  fi
  if [ "$owner" != "$o" ] && {{ [ -n "$live" ] || [ -z "$take" ]; }}; then
    printf %s "$owner"
    [ -z "$live" ] || exit {_HELD}
    exit {_TAKEN}
  fi
fi
printf '%s\\n%s\\n' "$o" "$mine" >{PATH}.new
sync {PATH}.new
mv -f {PATH}.new {PATH}
sync {HOME}
"""

_RELEASE = f"""\
exec 9<{HOME} || exit 0
flock -w 10 9
[ -e {PATH} ] || exit 0
read -r owner <{PATH}
[ "$owner" != "$o" ] || rm -f {PATH}
"""


def acquire(session: Session, owner: Owner, *, stale: bool) -> None:
    """Take the host's lock; `stale`: also one whose owner has gone.

    Raises Locked, and HostUnreachable as Session.run does.
    """
    mine = msgspec.json.encode(owner).decode()
    script = f"o={shlex.quote(mine)}\ntake={'1' if stale else ''}\n{_SCRIPT}"
    done = session.run(script, TIMEOUT, simple=True)
    name = session.target.name
    if done.exit_status in (_TAKEN, _HELD):
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
    if status == _HELD:
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
    script = f"o={shlex.quote(mine)}\n{_RELEASE}"
    session.run(script, TIMEOUT, simple=True)

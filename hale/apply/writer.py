"""One step on one host: keep what is there, then change it, whole or not at all.

Each step is two commands on the host, with the journal's entry between them. `keep` looks at
the precondition and keeps the original in RUNS/<run>/<step>/, on disk before it returns. `do`
looks again, changes, and looks whether the change is there. Asked to `settle`, it changes
nothing and says which of the two states the host is in: so a step that was cut off is known to
be done or not done.

A file is written beside its place, with the mode, owner, ACL, attributes and SELinux label of
the old one, fsync'ed and renamed over it: rename(2), fsync(2), cp(1) `--preserve`, sync(1).
Needed on the host: a POSIX sh, coreutils, findutils, systemctl; no Python.
"""

import base64
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import msgspec

from hale import edit, plan
from hale.change import (
    Append,
    Change,
    Effect,
    FileChange,
    LinkChange,
    ModuleChange,
    Restore,
    SwapChange,
    SwapOn,
    UnitChange,
    ValueChange,
)
from hale.connection import Session
from hale.plan import ABSENT, Step

HOME = "/var/lib/hale"
RUNS = f"{HOME}/runs"
# Seconds that a step may take. A swap device is read back page by page.
TIMEOUT, SWAP_TIMEOUT = 120.0, 3600.0
# Base64 characters in one command: an argument of exec has 128 KiB at most (execve(2)).
_CHUNK = 80_000
_ALREADY, _MOVED, _NOT_DONE = 40, 41, 42


class State(Enum):
    """How a step is, or has ended."""

    DONE = "done"
    ALREADY = "already so"
    NOT_DONE = "not done"


class Refused(Exception):
    """The precondition does not hold any more; says what moved. Nothing is changed."""


class Failed(Exception):
    """The host could not do it; in its own words. The old state is there, whole."""


@dataclass(frozen=True)
class Kept:
    """What `keep` left and found: the step with its contents, ready to be done."""

    step: Step
    folder: str
    after: str  # SHA-256 of the file's bytes as the step leaves them; ABSENT for anything else
    told: tuple[str, ...]  # `folder PATH` that has to be made, `priority N` of a swap


class Writer:
    """Does the steps of one run on one host. `number`: the step's, unique in the run and host."""

    def __init__(self, session: Session, run: str) -> None:
        self._session = session
        self._run = run

    def keep(self, step: Step, number: int) -> Kept | None:
        """Keep the original; None where the host is already as the step would make it.

        Raises Refused, Failed, and what Session.run raises.
        """
        folder = f"{RUNS}/{self._run}/{number}"
        content = self._content(step) if isinstance(step.change, FileChange) else None
        after = _after(step.change, content)
        script = _keep(step, after)
        status, said = self._do(folder, _KEEPING + script)
        if status == _ALREADY:
            return None
        if content is not None:
            self._stage(folder, content)
        return Kept(step, folder, after, tuple(said.splitlines()))

    def do(self, kept: Kept) -> tuple[Change, ...]:
        """Change the host; returns what takes it back. Raises as `keep` does."""
        _, said = self._do(kept.folder, _do(kept))
        return _inverse(kept, said.splitlines())

    def settle(self, kept: Kept) -> tuple[State, tuple[Change, ...]]:
        """Whether a step that was cut off is done, and what takes it back if it is."""
        status, said = self._do(kept.folder, "settle=1\n" + _do(kept))
        if status == _NOT_DONE:
            return State.NOT_DONE, ()
        return State.DONE, _inverse(kept, said.splitlines())

    def read(self, path: str) -> bytes | None:
        """A file's bytes now, None where there is none. Raises Failed."""
        p = shlex.quote(path)
        script = f"[ -e {p} ] || [ -L {p} ] || exit {_NOT_DONE}; cat {p}"
        done = self._session.run(f"/bin/sh -c {shlex.quote(script)}", TIMEOUT)
        if done.exit_status == _NOT_DONE:
            return None
        if done.exit_status:
            raise Failed(_words(done.stderr) or f"{path} cannot be read")
        return done.stdout

    def _content(self, step: Step) -> bytes:
        """The new bytes, from those that are there now."""
        assert isinstance(step.change, FileChange)
        path, before = step.change.path, self.read(step.change.path)
        try:
            return edit.apply(before or b"", step.change.edits)
        except edit.Moved as error:
            if before is not None and all(
                isinstance(e, Append) or e.new.encode() in before for e in step.change.edits
            ):
                return before
            raise Refused(f"{path}: {error}") from None

    def _stage(self, folder: str, content: bytes) -> None:
        text = base64.b64encode(content).decode()
        pieces = [text[at : at + _CHUNK] for at in range(0, len(text), _CHUNK)] or [""]
        for count, piece in enumerate(pieces):
            to = ">" if count == 0 else ">>"
            self._do(folder, f'printf %s {piece} | base64 -d {to}"$d/new"\n')
        self._do(folder, f'[ "$(sha "$d/new")" = {plan.sha256(content)} ]; sync "$d/new" "$d"\n')

    def _do(self, folder: str, script: str) -> tuple[int, str]:
        whole = f"{_PRELUDE}d={shlex.quote(folder)}\n{script}"
        timeout = SWAP_TIMEOUT if "swapoff" in script else TIMEOUT
        done = self._session.run(f"/bin/sh -c {shlex.quote(whole)}", timeout)
        if done.exit_status == _MOVED:
            raise Refused(_words(done.stderr))
        if done.exit_status not in (0, _ALREADY, _NOT_DONE):
            raise Failed(_words(done.stderr) or f"exit status {done.exit_status}, and not a word")
        return done.exit_status, done.stdout.decode(errors="surrogateescape")


def _words(stderr: bytes) -> str:
    lines = stderr.decode(errors="backslashreplace").strip().splitlines()
    said = "; ".join(lines[-3:])
    for words, hint in _HINTS.items():
        if words in said:
            return f"{said} ({hint})"
    return said


_HINTS = {
    "Operation not permitted": "an immutable file has the letter i or a in `lsattr`: find out "
    "who made it so, `chattr -i -a`, and plan again",
    "Device or resource busy": "it is mounted there by itself (`findmnt`): change it where it "
    "comes from",
    "Read-only file system": "see why: `findmnt`, `dmesg`; remount it and plan again",
    "No space left": "make room (`df -h`, `df -i`) and plan again; the old file is untouched",
}

_PRELUDE = f"""\
set -eu
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
umask 022
settle=
moved() {{ echo "$*" >&2; exit {_MOVED}; }}
sha() {{ [ ! -e "$1" ] && [ ! -L "$1" ] || (set -- $(sha256sum <"$1"); echo "$1"); }}
undone() {{ [ -z "$settle" ] || exit {_NOT_DONE}; }}
value() {{ tr -s ' \\t\\n' ' ' <"$1" | sed 's/^ //; s/ $//'; }}
"""

# The folder of one step, on disk with all its parents.
_KEEPING = f"""\
folder() {{ (umask 077; mkdir -p "$d"); sync {HOME} {RUNS} "$d/.." "$d"; }}
[ ! -e {HOME} ] || [ -d {HOME} ] || {{ echo "{HOME} is no folder" >&2; exit 1; }}
"""


def _assigned(**values: str) -> str:
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())


def _after(change: Change, content: bytes | None) -> str:
    if isinstance(change, Restore):
        return change.sha256
    return ABSENT if content is None else plan.sha256(content)


# --- keep: what must hold, and what is kept ---

_TARGET = """\
t=$p
if [ -L "$p" ] || [ -e "$p" ]; then
  t=$(readlink -e -- "$p") || moved "$p is a link that leads nowhere"
  [ -f "$t" ] || moved "$p is no file"
fi
now=$(sha "$t")
"""

_KEEP_FILE = f"""\
{_TARGET}
[ "$now" != "$after" ] || exit {_ALREADY}
if [ "$now" != "$before" ]; then
  [ -n "$now" ] || moved "$p is gone; its SHA-256 was $before"
  [ -n "$before" ] || moved "$p is there now; it was not"
  moved "$p has other bytes: their SHA-256 is $now and was $before"
fi
flags=$(lsattr -d -- "$t" 2>/dev/null | cut -d' ' -f1) || flags=
case $flags in *[ia]*) echo "$t: Operation not permitted" >&2; exit 1;; esac
folder
if [ -n "$now" ]; then
  rm -f "$d/original"
  cp --preserve=all -- "$t" "$d/original"
  [ "$(sha "$d/original")" = "$now" ] || moved "$p was changed this moment"
  sync "$d/original" "$d"
else
  f=$(dirname -- "$t")
  while [ ! -e "$f" ]; do echo "folder $f"; f=$(dirname -- "$f"); done
fi
"""

_LINK_NOW = """\
if [ -L "$p" ]; then now="link $(readlink -- "$p")"
elif [ -e "$p" ]; then now="no link"
else now=nothing; fi
"""

_KEEP_LINK = f"""\
{_LINK_NOW}
[ "$now" != "$after" ] || exit {_ALREADY}
[ "$now" = "$before" ] || moved "$p: expected $before, found $now"
folder
printf '%s\\n' "$now" >"$d/link"; sync "$d/link" "$d"
f=$(dirname -- "$p")
while [ ! -e "$f" ]; do echo "folder $f"; f=$(dirname -- "$f"); done
"""

_UNIT_NOW = """\
now() { systemctl show --property="$1" --value -- "$unit"; }
active=$(now ActiveState)
enabled=$(now UnitFileState)
links() { find /etc/systemd/system -type l -printf '%p\\t%l\\n' | sort; }
is() {
  case $verb in
  stop) [ "$active" = inactive ] || [ "$active" = failed ];;
  start) [ "$active" = active ];;
  disable) [ "$enabled" != enabled ] && [ "$enabled" != enabled-runtime ];;
  restart) [ -e "$d/began" ] && [ "$(now ActiveEnterTimestampMonotonic)" != "$(cat "$d/began")" ];;
  esac
}
"""

_KEEP_UNIT = f"""\
{_UNIT_NOW}
[ "$(now LoadState)" != not-found ] || moved "there is no unit $unit"
! is || exit {_ALREADY}
if [ "$verb" = disable ]; then [ -z "$want" ] || [ "$want" = "$enabled" ]
else [ -z "$want" ] || [ "$want" = "$active" ]; fi ||
  moved "$unit is $active, $enabled; it was $want"
folder
links >"$d/links"
now ActiveEnterTimestampMonotonic >"$d/began"
sync "$d/links" "$d/began" "$d"
"""

_KEEP_VALUE = f"""\
[ -e "$p" ] || moved "$p is gone"
now=$(value "$p")
[ "$now" != "$after" ] || exit {_ALREADY}
[ "$now" = "$before" ] || moved "$p is $now and no longer $before"
folder
: >"$d/values"
for f in $keep; do [ ! -f "$f" ] || printf '%s %s\\n' "$f" "$(value "$f")" >>"$d/values"; done
sync "$d/values" "$d"
"""

_KEEP_MODULE = f"""\
there() {{ [ -d "/sys/module/$name" ]; }}
if [ "$load" = 1 ]; then ! there || exit {_ALREADY}; else there || exit {_ALREADY}; fi
folder
"""

_SWAP_LINE = """\
swap() {
  while read -r name _ _ used priority; do
    [ "$(printf %b "$name")" != "$device" ] || { echo "$used $priority"; return; }
  done </proc/swaps
}
"""

_KEEP_SWAPOFF = f"""\
{_SWAP_LINE}
line=$(swap)
[ -n "$line" ] || exit {_ALREADY}
used=${{line% *}}
free=$(sed -n 's/^MemAvailable: *\\([0-9]*\\).*/\\1/p' /proc/meminfo)
[ "$used" = 0 ] || [ "$used" -le $((free - margin)) ] ||
  moved "$used KiB are in $device, $free KiB are available, and $margin must stay free"
folder
echo "priority ${{line#* }}"
"""

_KEEP_SWAPON = f"""\
{_SWAP_LINE}
[ -z "$(swap)" ] || exit {_ALREADY}
folder
"""


def _keep(step: Step, after: str) -> str:
    given = _given(step.change, step.sha256, after)
    match step.change:
        case FileChange() | Restore():
            return given + _KEEP_FILE
        case LinkChange():
            return given + _KEEP_LINK
        case UnitChange():
            return given + _KEEP_UNIT
        case ValueChange():
            return given + _KEEP_VALUE
        case ModuleChange():
            return given + _KEEP_MODULE
        case SwapChange():
            return given + _KEEP_SWAPOFF
        case SwapOn():
            return given + _KEEP_SWAPON


def _given(change: Change, before: str, after: str) -> str:
    """The variables of a change's scripts."""
    match change:
        case FileChange(path=path):
            return _assigned(p=path, before=before, after=after, source="", folders="")
        case Restore():
            return _assigned(
                p=change.path,
                before=change.expect,
                after=change.sha256,
                source=change.kept,
                folders=" ".join(map(shlex.quote, change.folders)),
            )
        case LinkChange():
            ends = [
                "nothing" if target is None else f"link {target}"
                for target in (change.expect, change.target)
            ]
            folders = " ".join(map(shlex.quote, change.folders))
            return _assigned(p=change.path, before=ends[0], after=ends[1], folders=folders)
        case UnitChange():
            want = change.enabled if change.verb == "disable" else change.active
            return _assigned(unit=change.unit, verb=change.verb, want=want)
        case ValueChange():
            spared = " ".join(p for p in change.keep if p != change.path)
            return _assigned(p=change.path, before=change.expect, after=change.value, keep=spared)
        case ModuleChange():
            return _assigned(name=change.name, load="1" if change.load else "0")
        case SwapChange():
            return _assigned(device=change.device, margin=str(change.margin_kib))
        case SwapOn():
            return _assigned(device=change.device, priority=str(change.priority))
    raise TypeError(change)


# --- do: look again, change, look ---

# `source`: the kept file to restore, with its own attributes; empty for an edit, whose new bytes
# are staged and whose attributes are those of the file that it replaces.
_DO_FILE = f"""\
{_TARGET}
f=$(dirname -- "$t")
new=$f/.hale-new
rm -f -- "$new"
if [ "$now" != "$after" ]; then
  undone
  [ "$now" = "$before" ] || moved "$p was changed this moment"
  trap 'rm -f -- "$new"' EXIT
  keep=mode,ownership,xattr
  [ ! -e /sys/fs/selinux/enforce ] || keep=$keep,context
  if [ -z "$after" ]; then
    rm -- "$t"
  else
    mkdir -p -- "$f"
    if [ -n "$source" ]; then
      cp --preserve=$keep,timestamps -- "$source" "$new"
    else
      [ -z "$now" ] || cp --attributes-only --preserve=$keep -- "$t" "$new"
      cat "$d/new" >"$new"
    fi
    [ "$(sha "$new")" = "$after" ] || {{ echo "$new: the new bytes did not arrive" >&2; exit 1; }}
    sync "$new"
    if [ -z "$now" ]; then
      ln -T -- "$new" "$t" || moved "$p is there now; it was not"
      rm -f -- "$new"
      ! command -v restorecon >/dev/null || [ ! -e /sys/fs/selinux/enforce ] || restorecon "$t"
    else
      [ "$(sha "$t")" = "$before" ] || moved "$p was changed this moment"
      mv -fT -- "$new" "$t"
    fi
  fi
  sync "$f"
fi
[ -n "$after" ] || eval "for g in $folders; do rmdir -- \\"\\$g\\" 2>/dev/null || :; done"
[ "$(sha "$t")" = "$after" ] || {{ echo "$p is not as it was written" >&2; exit 1; }}
"""

_DO_LINK = f"""\
{_LINK_NOW}
f=$(dirname -- "$p")
new=$f/.hale-new
rm -f -- "$new"
if [ "$now" != "$after" ]; then
  undone
  [ "$now" = "$before" ] || moved "$p: expected $before, found $now"
  trap 'rm -f -- "$new"' EXIT
  mkdir -p -- "$f"
  if [ "$after" = nothing ]; then
    rm -- "$p"
    eval "for g in $folders; do rmdir -- \\"\\$g\\" 2>/dev/null || :; done"
  elif [ "$before" = nothing ]; then ln -sT -- "${{after#link }}" "$p"
  else ln -sT -- "${{after#link }}" "$new"; mv -fT -- "$new" "$p"; fi
  [ ! -e "$f" ] || sync "$f"
fi
"""

_RELOAD = "systemctl daemon-reload\n"

_DO_UNIT = f"""\
{_UNIT_NOW}
if ! is; then
  undone
  systemctl --quiet "$verb" -- "$unit"
  active=$(now ActiveState)
  enabled=$(now UnitFileState)
  is || {{ echo "$unit is $active, $enabled after systemctl $verb" >&2; exit 1; }}
  sync /etc/systemd/system
fi
[ "$verb" != disable ] || {{ links >"$d/left"; sort "$d/links" | comm -23 - "$d/left"; }}
"""

_DO_VALUE = """\
now=$(value "$p")
if [ "$now" != "$after" ]; then
  undone
  [ "$now" = "$before" ] || moved "$p is $now and no longer $before"
  # A container may have /proc read-only and the right to sethostname(2) all the same.
  { printf '%s\\n' "$after" >"$p"; } 2>"$d/said" || {
    [ "$p" = /proc/sys/kernel/hostname ] && hostname -- "$after" || { cat "$d/said" >&2; exit 1; }
  }
fi
while read -r f old; do
  [ ! -e "$f" ] || [ "$(value "$f")" = "$old" ] || printf '%s\\n' "$old" >"$f"
done <"$d/values"
now=$(value "$p")
[ "$now" = "$after" ] || { echo "$p is $now after $after was written" >&2; exit 1; }
"""

_DO_MODULE = """\
there() { [ -d "/sys/module/$name" ]; }
if [ "$load" = 1 ]; then there || { undone; modprobe -- "$name"; there; }
elif there; then undone; modprobe -r -- "$name"; ! there; fi
"""

_DO_SWAPOFF = f"""\
{_SWAP_LINE}
[ -z "$(swap)" ] || {{ undone; swapoff -- "$device"; }}
"""

_DO_SWAPON = f"""\
{_SWAP_LINE}
if [ -z "$(swap)" ]; then
  undone
  if [ "$priority" -lt 0 ]; then swapon -- "$device"; else swapon -p "$priority" -- "$device"; fi
fi
"""


def _do(kept: Kept) -> str:
    change = kept.step.change
    given = _given(change, kept.step.sha256, kept.after)
    match change:
        case FileChange() | Restore():
            return given + _DO_FILE + (_RELOAD if _read_by_systemd(change.path) else "")
        case LinkChange():
            return given + _DO_LINK + (_RELOAD if _read_by_systemd(change.path) else "")
        case UnitChange():
            return given + _DO_UNIT
        case ValueChange():
            return given + _DO_VALUE
        case ModuleChange():
            return given + _DO_MODULE
        case SwapChange():
            return given + _DO_SWAPOFF
        case SwapOn():
            return given + _DO_SWAPON


def _read_by_systemd(path: str) -> bool:
    return path == "/etc/fstab" or path.startswith("/etc/systemd/")


# --- what takes a step back ---


def _inverse(kept: Kept, said: Sequence[str]) -> tuple[Change, ...]:
    change, step = kept.step.change, kept.step
    found = dict(_pairs(kept.told))
    folders = tuple(line.partition(" ")[2] for line in kept.told if line.startswith("folder "))
    why = f"takes back: {getattr(change, 'why', '')}"
    effects = change.effects
    if Effect.FINAL in effects:
        return ()
    match change:
        case FileChange(path=path):
            original = f"{kept.folder}/original"
            return (Restore(path, original, kept.after, step.sha256, why, folders, effects),)
        case Restore(path=path):
            original = f"{kept.folder}/original"
            return (Restore(path, original, change.sha256, change.expect, why, folders, effects),)
        case LinkChange():
            return (LinkChange(change.path, change.expect, change.target, why, effects, folders),)
        case UnitChange(verb="disable"):
            links = (line.split("\t") for line in said if "\t" in line)
            return tuple(LinkChange(path, to, None, why, effects) for path, to in links)
        case UnitChange():
            verb = {"stop": "start", "start": "stop"}.get(change.verb, change.verb)
            return (UnitChange(change.unit, verb, "", "", why, effects),)
        case ValueChange():
            return (
                ValueChange(change.path, change.value, change.expect, why, change.keep, effects),
            )
        case ModuleChange():
            return (msgspec.structs.replace(change, why=why, load=not change.load),)
        case SwapChange():
            return (SwapOn(change.device, int(found.get("priority", "-1")), why, effects),)
        case SwapOn():
            return (SwapChange(change.device, 0, why, effects=effects),)


def _pairs(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name, _, value = line.partition(" ")
        yield name, value


def kept_files(session: Session, run: str) -> Mapping[str, int]:
    """Sizes of what the host keeps for a run, by path; for people and tests."""
    done = session.run(f"find {shlex.quote(f'{RUNS}/{run}')} -type f -printf '%s %p\\n'", TIMEOUT)
    lines = (line.split(" ", 1) for line in done.stdout.decode().splitlines())
    return {path: int(size) for size, path in lines}

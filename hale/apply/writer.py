"""One step on one host: keep what is there, then change it, whole or not at all.

First `keep` looks at the preconditions of all steps and keeps their originals, those of a step in
RUNS/<run>/<step>/; all are on disk before it returns, and nothing is changed before. Then each
step is a command of its own, with the journal's entries around it: `do` looks again, changes, and
looks whether the change is there. Asked to `settle`, it changes nothing and says which of the two
states the host is in: so a step that was cut off is known to be done or not done.

A file is written beside its place, with the mode, owner, ACL, attributes and SELinux label of
the old one, fsync'ed and renamed over it: rename(2), fsync(2), cp(1) `--preserve`, sync(1).
Needed on the host: a POSIX sh, coreutils, findutils, systemctl; no Python.
"""

import base64
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
    # `folder PATH` that has to be made, `priority N` of a swap, `was PATH VALUE` of a value that
    # another leads.
    told: tuple[str, ...]

    @property
    def reloads(self) -> bool:
        """Whether it is done only once systemd has read its files anew: `Writer.reload`."""
        match self.step.change:
            case FileChange(path=path) | Restore(path=path) | LinkChange(path=path):
                return path == "/etc/fstab" or path.startswith("/etc/systemd/")
            case UnitChange(verb=verb):
                return verb == "disable"
        return False

    @property
    def needs_reload(self) -> bool:
        """Whether systemd must have read its files before: it acts on them."""
        match self.step.change:
            case UnitChange(verb=verb):
                return verb in ("start", "restart")
            case SwapChange() | SwapOn():
                return True
        return False


class Writer:
    """Does the steps of one run on one host. `number`: the step's, unique in the run and host."""

    def __init__(self, session: Session, run: str) -> None:
        self._session = session
        self._run = run

    def keep(self, steps: Mapping[int, Step]) -> dict[int, "Kept | Refused | Failed | None"]:
        """Keep the originals of these steps, in one go; None where the host is already so.

        A step that is refused or cannot be kept does not keep the others from it. Raises Failed
        where none could be, and what Session.run raises.
        """
        contents = self._contents(steps)
        script = [_KEEPER]
        asked: dict[int, Kept] = {}
        found: dict[int, Kept | Refused | Failed | None] = {}
        for number, step in steps.items():
            content = contents.get(number)
            if isinstance(content, Refused | Failed):
                found[number] = content
                continue
            folder = f"{RUNS}/{self._run}/{number}"
            asked[number] = Kept(step, folder, _after(step.change, content), ())
            script += _kept(asked[number], content)
        if not asked:
            return found
        script.append(_ON_DISK.format(run=shlex.quote(f"{RUNS}/{self._run}")))
        done = self._session.run("exec /bin/sh", TIMEOUT, "".join(script).encode())
        if done.exit_status:
            raise Failed(_words(done.stderr) or f"exit status {done.exit_status}, and not a word")
        answers = _answers(done.stdout.decode(errors="surrogateescape").splitlines())
        for kept, (status, told, said) in zip(asked.values(), answers, strict=True):
            found[int(kept.folder.rpartition("/")[2])] = _of(kept, status, told, said)
        return found

    def do(self, kept: Kept) -> tuple[Change, ...]:
        """Change the host; returns what takes it back. Raises as `keep` does.

        A step that `reloads` is done after `reload` only, which serves for all of them.
        """
        _, said = self._do(kept.folder, _do(kept))
        return _inverse(kept, said.splitlines())

    def reload(self) -> None:
        """Let systemd read its files anew. Raises as `keep` does."""
        self._do("", _RELOAD)

    def settle(self, kept: Kept) -> tuple[State, tuple[Change, ...]]:
        """Whether a step that was cut off is done, and what takes it back if it is."""
        script = f"settle=1\n{_do(kept)}{_RELOAD if kept.reloads else ''}"
        status, said = self._do(kept.folder, script)
        if status == _NOT_DONE:
            return State.NOT_DONE, ()
        return State.DONE, _inverse(kept, said.splitlines())

    def read(self, path: str) -> bytes | None:
        """A file's bytes now, None where there is none. Raises Failed."""
        found = read(self._session, [path])[path]
        if isinstance(found, Failed):
            raise found
        return found

    def _contents(self, steps: Mapping[int, Step]) -> "dict[int, bytes | Refused | Failed]":
        """The new bytes of each file that is edited, from those that are there now."""
        edits = {n: s.change for n, s in steps.items() if isinstance(s.change, FileChange)}
        present = read(self._session, [change.path for change in edits.values()])
        return {n: _edited(change, present[change.path]) for n, change in edits.items()}

    def _do(self, folder: str, script: str) -> tuple[int, str]:
        whole = f"{_PRELUDE}d={shlex.quote(folder)}\n{script}"
        timeout = SWAP_TIMEOUT if "swapoff" in script else TIMEOUT
        done = self._session.run(whole, timeout, plain=True)
        if done.exit_status == _MOVED:
            raise Refused(_words(done.stderr))
        if done.exit_status not in (0, _ALREADY, _NOT_DONE):
            raise Failed(_words(done.stderr) or f"exit status {done.exit_status}, and not a word")
        return done.exit_status, done.stdout.decode(errors="surrogateescape")


def read(session: Session, paths: Iterable[str]) -> "dict[str, bytes | Failed | None]":
    """The bytes of files, by one command; None where there is none. Raises as Session.run does."""
    wanted = list(dict.fromkeys(paths))
    if not wanted:
        return {}
    script = f"{_READ}for p in {' '.join(map(shlex.quote, wanted))}; do read_it; done\n"
    done = session.run("exec /bin/sh", TIMEOUT, script.encode())
    if done.exit_status:
        raise Failed(_words(done.stderr) or f"exit status {done.exit_status}, and not a word")
    found: dict[str, bytes | Failed | None] = {}
    for path, line in zip(wanted, done.stdout.decode().splitlines(), strict=True):
        kind, text = line[:1], base64.b64decode(line[1:])
        found[path] = {"-": None, "+": text}.get(kind, Failed(_words(text)))
    return found


# One line a file: `-`, `+` and its bytes, or `!` and why it cannot be read; in base64.
_READ = """\
LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH
read_it() {
  if [ ! -e "$p" ] && [ ! -L "$p" ]; then echo -
  elif e=$(base64 -w0 -- "$p" 2>&1 </dev/null); then printf '+%s\\n' "$e"
  else printf '!%s\\n' "$(printf %s "$e" | base64 -w0)"; fi
}
"""


def _edited(change: FileChange, before: "bytes | Failed | None") -> "bytes | Refused | Failed":
    if isinstance(before, Failed):
        return before
    try:
        return edit.apply(before or b"", change.edits)
    except edit.Moved as error:
        if before is not None and all(
            isinstance(e, Append) or e.new.encode() in before for e in change.edits
        ):
            return before
        return Refused(f"{change.path}: {error}")


def _kept(kept: Kept, content: bytes | None) -> Iterator[str]:
    """Lines for the keeper: the step's own script, and what it is to stage."""
    script = f"d={shlex.quote(kept.folder)}\n{_keep(kept.step, kept.after)}"
    yield f"keep {shlex.quote(script)}\n"
    if content is not None:
        text = base64.encodebytes(content).decode()
        yield f"stage {shlex.quote(kept.folder)} <<'END'\n{text}END\n"
    yield "told\n"


def _answers(lines: Iterable[str]) -> Iterator[tuple[int, tuple[str, ...], bytes]]:
    """Of each step its exit status, what it told, and its words on standard error."""
    told: list[str] = []
    for line in lines:
        if line.startswith("end "):
            _, status, words = line.split(" ")
            yield int(status), tuple(told), base64.b64decode(words)
            told = []
        elif line:
            told.append(line)


def _of(
    kept: Kept, status: int, told: tuple[str, ...], said: bytes
) -> "Kept | Refused | Failed | None":
    match status:
        case 0:
            return replace(kept, told=told)
        case x if x == _ALREADY:
            return None
        case x if x == _MOVED:
            return Refused(_words(said))
    return Failed(_words(said) or f"exit status {status}, and not a word")


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
sha() {{
  sum=
  [ ! -e "$1" ] && [ ! -L "$1" ] || {{ sum=$(sha256sum <"$1"); sum=${{sum%% *}}; }}
}}
undone() {{ [ -z "$settle" ] || exit {_NOT_DONE}; }}
value() {{ set -f; set -- $(cat "$1"); set +f; value=$*; }}
"""

# Runs each step's script in a shell of its own, and says how it ended.
_KEEPER = f"""\
{_PRELUDE}
set +e
umask 077
folder() {{ mkdir -p "$d"; }}
[ ! -e {HOME} ] || [ -d {HOME} ] || {{ echo "{HOME} is no folder" >&2; exit 1; }}
keep() {{ {{ e=$(set -e; eval "$1" </dev/null 2>&1 >&3 3>&-); r=$?; }} 3>&1; }}
stage() {{
  [ $r -eq 0 ] || return 0
  e=$({{ base64 -d >"$1/new"; }} 2>&1) || r=1
}}
told() {{ printf 'end %s %s\\n' $r "${{e:+$(printf %s "$e" | base64 -w0)}}"; }}
"""
# All that was kept, with its folders.
_ON_DISK = (
    f"[ ! -e {{run}} ] || {{{{ find {{run}} -exec sync {{{{}}}} + && sync {RUNS} {HOME}; }}}}\n"
)


def _assigned(**values: str) -> str:
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())


def _after(change: Change, content: bytes | None) -> str:
    if isinstance(change, Restore):
        return change.sha256
    return ABSENT if content is None else plan.sha256(content)


# --- keep: what must hold, and what is kept ---

_TARGET = """\
t=$p
if [ -L "$p" ]; then
  t=$(readlink -e -- "$p") || moved "$p is a link that leads nowhere"
fi
[ ! -e "$t" ] || [ -f "$t" ] || moved "$p is no file"
sha "$t"
now=$sum
"""

_KEEP_FILE = f"""\
{_TARGET}
[ "$now" != "$after" ] || exit {_ALREADY}
if [ "$now" != "$before" ]; then
  [ -n "$now" ] || moved "$p is gone; its SHA-256 was $before"
  [ -n "$before" ] || moved "$p is there now; it was not"
  moved "$p has other bytes: their SHA-256 is $now and was $before"
fi
flags=$(lsattr -d -- "$t" 2>/dev/null) || flags=
case ${{flags%% *}} in *[ia]*) echo "$t: Operation not permitted" >&2; exit 1;; esac
folder
if [ -n "$now" ]; then
  cp --preserve=all --remove-destination -- "$t" "$d/original"
  sha "$d/original"
  [ "$sum" = "$now" ] || moved "$p was changed this moment"
else
  f=${{t%/*}}
  while [ ! -e "$f/" ]; do echo "folder $f"; f=${{f%/*}}; done
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
printf '%s\\n' "$now" >"$d/link"
f=${{p%/*}}
while [ ! -e "$f/" ]; do echo "folder $f"; f=${{f%/*}}; done
"""

_UNIT_NOW = """\
look() {
  loaded= active= enabled= entered=
  shown=$(systemctl show -p LoadState,ActiveState,UnitFileState,ActiveEnterTimestampMonotonic \
    -- "$unit")
  while IFS='=' read -r name text; do
    case $name in
    LoadState) loaded=$text;;
    ActiveState) active=$text;;
    UnitFileState) enabled=$text;;
    Active*) entered=$text;;
    esac
  done <<END
$shown
END
}
look
links() { find /etc/systemd/system -type l -printf '%p\\t%l\\n' | sort; }
is() {
  case $verb in
  stop) [ "$active" = inactive ] || [ "$active" = failed ];;
  start) [ "$active" = active ];;
  disable)
    # What `show` says is as old as the last reload; of a unit that is gone nothing else says it.
    state=$(systemctl is-enabled -- "$unit" 2>/dev/null) || :
    [ -n "$state" ] || { systemctl daemon-reload && look && state=$enabled; } || return
    [ "$state" != enabled ] && [ "$state" != enabled-runtime ]
    ;;
  restart) [ -e "$d/began" ] && [ "$entered" != "$(cat "$d/began")" ];;
  esac
}
"""

_KEEP_UNIT = f"""\
{_UNIT_NOW}
[ "$loaded" != not-found ] || moved "there is no unit $unit"
! is || exit {_ALREADY}
if [ "$verb" = disable ]; then [ -z "$want" ] || [ "$want" = "$enabled" ]
else [ -z "$want" ] || [ "$want" = "$active" ]; fi ||
  moved "$unit is $active, $enabled; it was $want"
folder
links >"$d/links"
echo "$entered" >"$d/began"
"""

_KEEP_VALUE = f"""\
[ -e "$p" ] || moved "$p is gone"
value "$p"
[ "$value" != "$after" ] || exit {_ALREADY}
[ "$value" = "$before" ] || moved "$p is $value and no longer $before"
folder
for f in $follow; do
  [ ! -f "$f" ] || {{ value "$f"; [ "$value" = "$before" ] || echo "was $f $value"; }}
done
for f in $keep; do
  [ ! -f "$f" ] || {{ value "$f"; printf '%s %s\\n' "$f" "$value"; }}
done >"$d/values"
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

_ROOM = """\
room() {
  used=${line% *}
  free=$(sed -n 's/^MemAvailable: *\\([0-9]*\\).*/\\1/p' /proc/meminfo)
  [ "$used" = 0 ] || [ "$used" -le $((free - margin)) ] ||
    moved "$used KiB are in $device, $free KiB are available, and $margin must stay free"
}
"""

_KEEP_SWAPOFF = f"""\
{_SWAP_LINE}
{_ROOM}
line=$(swap)
[ -n "$line" ] || exit {_ALREADY}
room
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
            return _assigned(
                p=change.path,
                before=change.expect,
                after=change.value,
                keep=" ".join(p for p in change.keep if p != change.path),
                follow=" ".join(change.follow),
                then=" ".join(word for pair in change.then for word in pair),
            )
        case ModuleChange():
            return _assigned(name=change.name, load="1" if change.load else "0")
        case SwapChange():
            return _assigned(device=change.device, margin=str(change.margin_kib))
        case SwapOn():
            return _assigned(device=change.device, priority=str(change.priority))
    raise TypeError(change)


# --- do: look again, change, look ---

_RELOAD = "systemctl daemon-reload\n"

# `source`: the kept file to restore, with its own attributes; empty for an edit, whose new bytes
# are staged and whose attributes are those of the file that it replaces.
_DO_FILE = f"""\
{_TARGET}
f=${{t%/*}}
new=$f/.hale-new
[ ! -e "$new" ] && [ ! -L "$new" ] || rm -f -- "$new"
if [ "$now" != "$after" ]; then
  undone
  [ "$now" = "$before" ] || moved "$p was changed this moment"
  trap '[ ! -e "$new" ] || rm -f -- "$new"' EXIT
  keep=mode,ownership,xattr
  [ ! -e /sys/fs/selinux/enforce ] || keep=$keep,context
  if [ -z "$after" ]; then
    rm -- "$t"
  else
    [ -d "$f" ] || mkdir -p -- "$f"
    if [ -n "$source" ]; then
      cp --preserve=$keep,timestamps -- "$source" "$new"
    else
      [ -z "$now" ] || cp --attributes-only --preserve=$keep -- "$t" "$new"
      cat "$d/new" >"$new"
    fi
    sha "$new"
    [ "$sum" = "$after" ] || {{ echo "$new: the new bytes did not arrive" >&2; exit 1; }}
    sync "$new"
    if [ -z "$now" ]; then
      ln -T -- "$new" "$t" || moved "$p is there now; it was not"
      rm -f -- "$new"
      ! command -v restorecon >/dev/null || [ ! -e /sys/fs/selinux/enforce ] || restorecon "$t"
    else
      sha "$t"
      [ "$sum" = "$before" ] || moved "$p was changed this moment"
      mv -fT -- "$new" "$t"
    fi
  fi
  sync "$f"
fi
[ -n "$after" ] || eval "for g in $folders; do rmdir -- \\"\\$g\\" 2>/dev/null || :; done"
sha "$t"
[ "$sum" = "$after" ] || {{ echo "$p is not as it was written" >&2; exit 1; }}
"""

_DO_LINK = f"""\
{_LINK_NOW}
f=${{p%/*}}
new=$f/.hale-new
[ ! -e "$new" ] && [ ! -L "$new" ] || rm -f -- "$new"
if [ "$now" != "$after" ]; then
  undone
  [ "$now" = "$before" ] || moved "$p: expected $before, found $now"
  trap '[ ! -L "$new" ] || rm -f -- "$new"' EXIT
  [ -d "$f" ] || mkdir -p -- "$f"
  if [ "$after" = nothing ]; then
    rm -- "$p"
    eval "for g in $folders; do rmdir -- \\"\\$g\\" 2>/dev/null || :; done"
  elif [ "$before" = nothing ]; then ln -sT -- "${{after#link }}" "$p"
  else ln -sT -- "${{after#link }}" "$new"; mv -fT -- "$new" "$p"; fi
  [ ! -e "$f" ] || sync "$f"
fi
"""


# `disable` would reload systemd by itself, once for each unit.
_DO_UNIT = f"""\
{_UNIT_NOW}
if ! is; then
  undone
  systemctl --quiet --no-reload "$verb" -- "$unit"
  look
  is || {{ echo "$unit is $active, ${{state:-$enabled}} after systemctl $verb" >&2; exit 1; }}
  sync /etc/systemd/system
fi
[ "$verb" != disable ] || {{ links >"$d/left"; sort "$d/links" | comm -23 - "$d/left"; }}
"""

_DO_VALUE = """\
value "$p"
if [ "$value" != "$after" ]; then
  undone
  [ "$value" = "$before" ] || moved "$p is $value and no longer $before"
  # A container may have /proc read-only and the right to sethostname(2) all the same.
  { printf '%s\\n' "$after" >"$p"; } 2>"$d/said" || {
    [ "$p" = /proc/sys/kernel/hostname ] && hostname -- "$after" || { cat "$d/said" >&2; exit 1; }
  }
fi
while read -r f old; do
  [ -e "$f" ] || continue
  value "$f"
  [ "$value" = "$old" ] || printf '%s\\n' "$old" >"$f"
done <"$d/values"
set -- $then
while [ $# -gt 1 ]; do
  [ ! -e "$1" ] || printf '%s\\n' "$2" >"$1"
  shift 2
done
value "$p"
[ "$value" = "$after" ] || { echo "$p is $value after $after was written" >&2; exit 1; }
"""

_DO_MODULE = """\
there() { [ -d "/sys/module/$name" ]; }
if [ "$load" = 1 ]; then there || { undone; modprobe -- "$name"; there; }
elif there; then undone; modprobe -r -- "$name"; ! there; fi
"""

# What is in the devices before it has come back to memory by now.
_DO_SWAPOFF = f"""\
{_SWAP_LINE}
{_ROOM}
line=$(swap)
[ -z "$line" ] || {{ undone; room; swapoff -- "$device"; }}
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
            return given + _DO_FILE
        case LinkChange():
            return given + _DO_LINK
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
            then = tuple(_before(kept.told))
            back = msgspec.structs.replace(
                change, expect=change.value, value=change.expect, why=why, then=then
            )
            return (back,)
        case ModuleChange():
            return (msgspec.structs.replace(change, why=why, load=not change.load),)
        case SwapChange():
            return (SwapOn(change.device, int(found.get("priority", "-1")), why, effects),)
        case SwapOn():
            return (SwapChange(change.device, 0, why, effects=effects),)


def _before(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Values that were others than the one that led them, and no longer are."""
    for line in lines:
        kind, _, rest = line.partition(" ")
        path, _, value = rest.partition(" ")
        if kind == "was":
            yield path, value


def _pairs(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name, _, value = line.partition(" ")
        yield name, value


def kept_files(session: Session, run: str) -> Mapping[str, int]:
    """Sizes of what the host keeps for a run, by path; for people and tests."""
    done = session.run(f"find {shlex.quote(f'{RUNS}/{run}')} -type f -printf '%s %p\\n'", TIMEOUT)
    lines = (line.split(" ", 1) for line in done.stdout.decode().splitlines())
    return {path: int(size) for size, path in lines}

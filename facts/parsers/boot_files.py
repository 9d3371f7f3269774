"""Whether a boot finds a file of /etc, or of the kubelet's folder, as it is now. Not a subject.

It does not where the file is in memory (a link or a bind mount that leads into /run, a tmpfs over
its folder), where something is mounted by hand over it, over /etc or where its link leads, where a
boot mounts something over it that is not mounted now, and where systemd-tmpfiles writes, replaces
or removes it at boot.

A root that is an overlay whose upper folder is in memory (Ubuntu's overlayroot) loses every edit:
what a boot finds is in its image, which is not read. A root that is a tmpfs itself is a diskless
host's: every boot fills it from the same image, and which of its files are the image's cannot be
read on the host. They count as kept.

Sources: tmpfiles.d(5), systemd-tmpfiles-setup.service(8) (`--create --remove --boot`),
systemd-tmpfiles(8), "CREDENTIALS"; proc_pid_mountinfo(5); file-hierarchy(7); the kernel's
filesystems/overlayfs (upperdir=, st_dev).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, wraps
from posixpath import normpath
from typing import TypeVar

from msgspec import Struct

from facts.parsers import conf_dirs, systemd_units
from facts.parsers.blanks import SYSTEMD_BLANKS, split_words
from hale.model import budgets
from hale.model.evidence import (
    EXISTENCE,
    Allowance,
    ConfigLine,
    Fact,
    File,
    FileProbe,
    HostView,
    Selection,
    Unreadable,
    matches,
    select,
)
from hale.model.requirement import Case

RULES = conf_dirs.patterns("tmpfiles.d")
SERVICE = "systemd-tmpfiles-setup.service"
# What the service reads after them, since systemd 252 (LoadCredential=tmpfiles.extra).
CREDENTIAL_FOLDERS = ("/etc/credstore", "/usr/lib/credstore")
ENCRYPTED_FOLDERS = ("/etc/credstore.encrypted", "/usr/lib/credstore.encrypted")
CREDENTIALS = tuple(f"{folder}/tmpfiles.extra" for folder in CREDENTIAL_FOLDERS)
ENCRYPTED = tuple(f"{folder}/tmpfiles.extra" for folder in ENCRYPTED_FOLDERS)
# Drop-ins by which the service reads other lines, or others as well.
_DROP_INS = systemd_units.dropin_patterns(SERVICE)
_READS_OTHERS = re.compile(
    r"[ \t]*(ExecStart|ExecCondition|(?:Set|Load|Import)Credential\w*|Root(?:Directory|Image))"
    r"[ \t]*=[ \t]*(.*)",
    re.ASCII,
)
_OF_DROP_INS = Selection(
    "[[:space:]]*(Exec(Start|Condition)|(Set|Load|Import)Credential[A-Za-z]*|Root(Directory|Image))"
    "[[:space:]]*="
)
FSTAB = "/etc/fstab"
MOUNT_TABLE = "/proc/self/mountinfo"
# A node has hundreds of mounts, one or two for each container, far below these folders.
_MOUNTS_NEAR_ROOT = Selection(r"([^ ]+ ){4}((/[^/ ]*){1,3}|/etc/[^ ]*) ")
_IN_ETC = Selection(r"[[:space:]]*[^#[:space:]]+[[:space:]]+(/etc|[^[:space:]]*\\)")
# Units of mounts, those that systemd has made of fstab and of partitions too.
GENERATED = tuple(f"/run/systemd/generator{late}/*.mount" for late in ("", ".early", ".late"))
MOUNTS = (*systemd_units.file_patterns("*.mount"), *GENERATED)
# What is mounted before systemd starts: by an initial RAM disk, or by the system's own start.
BEFORE_SYSTEMD = ("/", "/usr", "/sysroot", "/nix", "/nix/store", "/gnu/store", "/boot", "/var")
# Other folders of a system's own have no files that a boot replaces.
JUDGED = ("/etc/", "/var/lib/kubelet/")
# File systems without a disk.
IN_MEMORY = ("tmpfs", "ramfs", "proc", "sysfs", "devpts", "cgroupfs", "cgroup2fs")
_UPPER = re.compile(r"(?:^|,)upperdir=((?:\\.|[^,\\])*)")
# Folders that every boot empties, whatever file system they are on.
EMPTIED = ("/run/", "/var/run/", "/tmp/", "/dev/shm/")

ParametersT = TypeVar("ParametersT")
FactT = TypeVar("FactT", bound=Fact)

# Units that mount something over /etc or below it, and what pulls them in.
_OVER_ETC = ("etc.mount", "etc-*.mount", "etc.automount", "etc-*.automount")

PROBE = FileProbe(
    *RULES,
    *CREDENTIALS,
    *select(EXISTENCE, *ENCRYPTED),
    *select(_OF_DROP_INS, *_DROP_INS),
    *select(EXISTENCE, *systemd_units.file_patterns(SERVICE), *MOUNTS),
    *systemd_units.existence(*_OVER_ETC),
    *select(_IN_ETC, FSTAB),
    *select(_MOUNTS_NEAR_ROOT, MOUNT_TABLE),
)


def losses(readings: HostView, files: Iterable[File]) -> tuple[ConfigLine, ...]:
    """Why a boot does not find these files as they are: each line has its reason as note.

    Raises Unreadable where that is unknown.
    """
    kept = [file for file in files if file.path.startswith(JUDGED) and not file.masked]
    if not kept:
        return ()
    mounted = _mounted(readings.file(MOUNT_TABLE))
    types, mounts = mounted.types, mounted.points
    rules = _rules(readings)
    found: dict[str, ConfigLine] = {}
    for file in kept:
        if mounted.image and file.device not in types:
            raise Unreadable(
                f"a boot starts from an image, and {file.path} may be another there: / is an "
                f"overlay, and what is written to it is in memory ({mounted.image})"
            )
        for line in (
            *_in_memory(file, types),
            *_mounted_over(readings, file, mounts),
            *_behind_a_mount(readings, file, mounted),
            *_to_be_mounted_over(readings, file, mounts),
            *_rewritten(file, rules),
        ):
            found.setdefault(str(line), line)
    return tuple(found.values())


def refuse(readings: HostView, sources: Iterable[ConfigLine]) -> None:
    """Raises Unreadable where a boot does not find the files of the effective lines as they are."""
    paths = [source.path for source in sources if source.wins]
    refuse_files(
        readings, [readings.used_files[path] for path in paths if path in readings.used_files]
    )


def refuse_files(readings: HostView, used: Iterable[File]) -> None:
    """Raises Unreadable where a boot does not find these files as they are."""
    if lost := losses(readings, used):
        raise Unreadable(f"{sentence(lost)}; what it finds instead is unknown")


def kept_by_boot(
    read: Callable[[HostView, Case[ParametersT]], FactT],
) -> Callable[[HostView, Case[ParametersT]], FactT]:
    """A reader of `persisted` that raises Unreadable as `refuse` does, for its fact's sources."""

    @wraps(read)
    def guarded(readings: HostView, case: Case[ParametersT]) -> FactT:
        fact = read(readings, case)
        refuse(readings, fact.sources)
        return fact

    return guarded


def sentence(lost: Sequence[ConfigLine]) -> str:
    """The reasons, for people."""
    return "a boot does not keep it: " + "; ".join(f"{line} {line.note}" for line in lost)


class _Mounted(Struct, frozen=True):
    """The file systems' types by device, without the root's, and the mount points in /etc.

    every: all mount points. image: where a root in memory has its changes; empty for any other
    root.
    """

    types: Mapping[str, str]
    points: Sequence[str]
    image: str = ""
    every: Sequence[str] = ()


@lru_cache(maxsize=64)  # all rows of a host read it
def _mounted(table: File | None) -> _Mounted:
    types: dict[str, str] = {}
    points: dict[str, str] = {}  # with the types; the last mount of a point covers the others
    uppers: dict[str, str] = {}
    root = ""
    for line in table.lines if table else ():
        if not line:
            continue  # a mount that is not read
        before, _, after = line.partition(" - ")
        words = before.split(" ")
        if len(words) < 6 or not after:
            raise Unreadable(f"{MOUNT_TABLE}: {line!r} is no mount")
        device, point, kind = words[2], _unescaped(words[4]), after.partition(" ")[0]
        types[device] = points[point] = kind
        root = device if point == "/" else root
        upper = _UPPER.search(_unescaped(after.rpartition(" ")[2])) if kind == "overlay" else None
        if upper:
            uppers[device] = re.sub(r"\\(.)", r"\1", upper[1])
    if not root:
        raise Unreadable(f"{MOUNT_TABLE} does not say on which device / is")
    for device, upper_folder in uppers.items():
        if (kind := _type_at(upper_folder, points)) in IN_MEMORY:
            types[device] = kind
    image = uppers[root] if root in uppers and types[root] in IN_MEMORY else ""
    # What makes such a root mounts its /etc as well.
    etc = () if image else ("/etc",)
    return _Mounted(
        {device: kind for device, kind in types.items() if device != root},
        [point for point in points if point in etc or point.startswith("/etc/")],
        image,
        tuple(points),
    )


def _type_at(path: str, points: Mapping[str, str]) -> str:
    """The type of the file system that a folder is on, by the longest mount point that is known."""
    parts = normpath(path).split("/")
    every = ("/".join(parts[:n]) or "/" for n in range(len(parts), 0, -1))
    return next((points[point] for point in every if point in points), "")


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), text)


def _in_memory(file: File, types: Mapping[str, str]) -> Iterator[ConfigLine]:
    to = normpath(conf_dirs.leads_to(file))
    if types.get(file.device) not in IN_MEMORY and not to.startswith(EMPTIED):
        return
    text = f"-> {file.target}" if file.target else ""
    what = f"leads to {to}" if file.target else f"is in memory ({types[file.device]})"
    note = f"{what}, which a boot empties"
    yield ConfigLine(file.path, 0, text, changed=file.changed, note=note)


def _mounted_over(readings: HostView, file: File, mounts: Sequence[str]) -> Iterator[ConfigLine]:
    for point in mounts:
        if file.path != point and not file.path.startswith(f"{point}/"):
            continue
        if not _mounted_at_boot(readings, point):
            note = f"covers {file.path}, and neither {FSTAB} nor a unit mounts it at boot"
            yield ConfigLine(point, 0, "a mount", note=note)


def _to_be_mounted_over(
    readings: HostView, file: File, mounts: Sequence[str]
) -> Iterator[ConfigLine]:
    """What a boot mounts over the file and is not mounted now: lines of fstab, and units."""
    parts = file.path.split("/")
    above = ["/".join(parts[:n]) for n in range(2, len(parts) + 1)]
    points = [point for point in above if point.startswith("/etc") and point not in mounts]
    fstab = readings.file(FSTAB)
    for number, line in enumerate(_lines(fstab), 1):
        words = split_words(line)
        if len(words) < 4 or words[0].startswith("#") or _unescaped(words[1]) not in points:
            continue
        if "noauto" not in words[3].split(","):
            note = f"has a boot mount {words[0]} over {file.path}, which is not mounted now"
            yield ConfigLine(FSTAB, number, line, changed=fstab.changed if fstab else 0, note=note)
    pulled = {conf_dirs.name_of(link) for link in systemd_units.pull_links(readings, *_OVER_ETC)}
    found = systemd_units.in_force(readings, *_OVER_ETC)
    for point in points:
        for kind in ("mount", "automount"):
            unit = systemd_units.name_of_path(point, kind)
            if unit in pulled and unit in found and not systemd_units.masked(found[unit]):
                note = f"is mounted over {file.path} at boot, and is not mounted now"
                yield ConfigLine(found[unit].path, 0, unit, changed=found[unit].changed, note=note)


def _behind_a_mount(readings: HostView, file: File, mounted: _Mounted) -> Iterator[ConfigLine]:
    """The link that leads to what is mounted by hand."""
    if file.target is None:
        return
    to = normpath(conf_dirs.leads_to(file))
    parts = to.split("/")
    above = ["/".join(parts[:n]) or "/" for n in range(len(parts), 0, -1)]
    point = next((point for point in above if point in mounted.every), "/")
    if point not in BEFORE_SYSTEMD and not _mounted_at_boot(readings, point):
        note = f"leads to {to}, and neither {FSTAB} nor a unit mounts {point} at boot"
        yield ConfigLine(file.path, 0, f"-> {file.target}", changed=file.changed, note=note)


def _mounted_at_boot(readings: HostView, point: str) -> bool:
    unit = systemd_units.name_of_path(point, "mount")
    named = {conf_dirs.name_of(file) for file in readings.files(*MOUNTS)}
    return unit in named or any(
        _unescaped(words[1]) == point
        for line in _lines(readings.file(FSTAB))
        if len(words := split_words(line)) > 1
    )


def _lines(file: File | None) -> Sequence[str]:
    return file.lines if file else ()


# --- tmpfiles.d ---


class _Rule(ConfigLine, frozen=True):
    kind: str = ""
    where: str = ""
    argument: str = ""


def _rules(readings: HostView) -> Sequence[_Rule]:
    if systemd_units.mask(readings, SERVICE):
        return ()
    _refuse_drop_ins(readings)
    files = conf_dirs.effective(conf_dirs.persistent(readings.files(*RULES)))
    files += credential(readings, CREDENTIALS, ENCRYPTED)
    found = [rule for file in files for rule in _of_file(file)]
    allowance = Allowance(budgets.PATTERNS, "lines of tmpfiles.d that change files")
    for rule in found:
        allowance.spend(where=rule)
        if len(rule.where) > budgets.PATTERN_CHARACTERS:
            limit = budgets.PATTERN_CHARACTERS
            raise Unreadable(f"{rule}: its path is longer than {limit} characters")
    return found


def _refuse_drop_ins(readings: HostView) -> None:
    """Raises Unreadable where a drop-in changes what the service reads, or gives it lines."""
    for file in conf_dirs.effective(conf_dirs.persistent(readings.files(*_DROP_INS))):
        for number, line in enumerate(file.lines if file.kind == "f" else (), 1):
            found = _READS_OTHERS.fullmatch(line)
            if not found or not found[2] or _is_other_credential(found[1], found[2]):
                continue
            raise Unreadable(
                f"{file.path}:{number} has {SERVICE} read other lines of tmpfiles.d than its "
                f"folders have ({found[1]}=): see `systemctl cat {SERVICE}`"
            )


def _is_other_credential(key: str, value: str) -> bool:
    return "Credential" in key and not value.startswith("tmpfiles.")


def credential(readings: HostView, paths: Sequence[str], encrypted: Sequence[str]) -> list[File]:
    """The file that a unit's LoadCredential= finds by its name alone, if there is one.

    Source: systemd.exec(5), LoadCredential= (credstore). Raises Unreadable for an encrypted one.
    """
    found = [file for file in readings.files(*paths) if file.kind == "f"]
    if not found and (locked := readings.files(*encrypted)):
        raise Unreadable(f"a boot reads {locked[0].path}, which is encrypted")
    return found[:1]


def tmpfiles_writes(readings: HostView, prefix: str) -> list[tuple[ConfigLine, str, str]]:
    """The lines of tmpfiles.d that write into files below the prefix at boot: the line, the path or
    its pattern, and the text. Raises Unreadable."""
    return [
        (rule, rule.where, _plain(rule.argument))
        for rule in _rules(readings)
        if rule.kind[0] in "wFf" and rule.where.startswith(prefix)
    ]


@lru_cache(maxsize=4096)  # several subjects read them, and the hosts of a site have the same
def _of_file(file: File) -> tuple[_Rule, ...]:
    """The lines of tmpfiles.d that change what is there already."""
    found = []
    for number, raw in enumerate(file.lines, 1):
        text = raw.strip(SYSTEMD_BLANKS)
        words = split_words(text, 6)
        if len(words) < 2 or text[0] == "#":
            continue
        kind = words[0].strip("\"'")
        if kind[:1] in ("F", "r", "R", "D", "w") or (kind[:1] in ("f", "L") and "+" in kind):
            where = words[1].strip("\"'").replace("%%", "%")
            argument = words[6].strip(SYSTEMD_BLANKS) if len(words) > 6 else ""
            found.append(
                _Rule(
                    file.path,
                    number,
                    text,
                    changed=file.changed,
                    kind=kind,
                    where=where.rstrip("/") or "/",
                    argument="" if argument == "-" else argument,
                )
            )
    return tuple(found)


def _rewritten(file: File, rules: Sequence[_Rule]) -> Iterator[ConfigLine]:
    for rule in rules:
        what = _what(file, rule)
        if what:
            text = f"{what} {file.path} at boot ({rule.text})"
            yield ConfigLine(rule.path, rule.line, rule.text, changed=rule.changed, note=text)


def _what(file: File, rule: _Rule) -> str:
    """What the line does to the file at boot; empty where it stays as it is."""
    letter, exact = rule.kind[0], file.path == rule.where
    if letter in "rR" and matches(file.path, rule.where):
        return "removes"
    if letter in "RD" and _is_below(file.path, rule.where):
        return "removes"
    if letter == "w" and matches(file.path, rule.where):
        begins = "\n".join(file.content or ()).startswith(_plain(rule.argument).rstrip("\n"))
        return "" if begins and "+" not in rule.kind else "writes into"
    if letter in "Ff" and exact:
        same = "\n".join(file.content or ()) == _plain(rule.argument).rstrip("\n")
        return "" if same and file.target is None else "writes"
    if letter == "L" and exact:
        return "" if file.target == (rule.argument or f"/usr/share/factory{file.path}") else "links"
    return ""


def _is_below(path: str, folder: str) -> bool:
    """Whether the path is below a folder, which may be a pattern."""
    parts = path.split("/")
    return any(matches("/".join(parts[:n]), folder) for n in range(2, len(parts)))


_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "s": " ", "\\": "\\", '"': '"', "'": "'"}


def _plain(argument: str) -> str:
    """The text of an argument with C's escapes."""
    return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[0]), argument)

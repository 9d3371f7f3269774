"""The files of a unit that set its limits, in the order in which systemd reads them.

Not a subject: facts/service_limits.py uses it. Sources: systemd.unit(5) (load path, drop-ins);
systemd's src/shared/dropin.c.
"""

from collections.abc import Mapping, Sequence
from posixpath import basename

from msgspec import Struct
from msgspec.structs import replace

from facts.parsers import conf_dirs
from facts.parsers.blanks import BLANKS, split_words
from facts.parsers.unit_limits import NOT_UTF_8, Item, Limit, assignments, parsed
from hale.model.evidence import ConfigLine, File, HostView, Unreadable, matches

# All folders of units by priority; those in /run are empty after a boot, or generated again.
FOLDERS = (
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/etc/systemd/system",
    "/etc/systemd/system.attached",
    "/run/systemd/system",
    "/run/systemd/system.attached",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/generator.late",
)
OWN = "/etc/systemd/system"  # where a site puts its drop-ins


class UnitLimitLine(Struct, frozen=True):
    """A line that sets the unit's limit.

    file: the file that contains it, links resolved. name: the drop-in's name, which orders it;
    empty for the unit's own file. own: it applies to this unit only. single_line: it is one line
    of the file, neither continued nor ended by a lone carriage return.
    """

    source: ConfigLine
    limit: Limit
    file: str
    name: str
    own: bool
    single_line: bool

    @property
    def lasting(self) -> bool:
        """Whether it survives a boot."""
        return not conf_dirs.volatile(self.source.path)


def main_patterns(unit: str) -> tuple[str, ...]:
    """Paths of the unit's own file by priority."""
    return tuple(f"{folder}/{unit}" for folder in FOLDERS)


def dropin_patterns(unit: str) -> tuple[str, ...]:
    """Patterns of the unit's drop-ins by priority: its own, its prefixes', then its type's."""
    stem, _, kind = unit.rpartition(".")
    parts = stem.split("-")
    prefixes = ("-".join(parts[:n]) for n in range(len(parts) - 1, 0, -1))
    names = [unit, *(f"{prefix}-.{kind}" for prefix in prefixes if prefix)]
    return (
        *(f"{folder}/{name}.d/*.conf" for folder in FOLDERS for name in names),
        *(f"{folder}/{kind}.d/*.conf" for folder in FOLDERS),
    )


def require_covered(state: Mapping[str, str], unit: str) -> None:
    """Raises Unreadable where systemd reads files that the patterns do not match."""
    path = state.get("FragmentPath", "")
    if path and basename(path) != unit:
        raise Unreadable(f"{unit} is another name of {path}, whose drop-ins count too")
    for path in split_words(state.get("DropInPaths", "")):
        if not any(matches(path, pattern) for pattern in dropin_patterns(unit)):
            raise Unreadable(f"systemd reads {path} for {unit}, and no such folder is looked into")


def place_for_line(files: Sequence[File], path: str) -> str | None:
    """The drop-in to add a line to: this one, or one beside it; None where neither is possible."""
    for name in (path, conf_dirs.sorts_after(path, path)):
        there = next((f for f in files if conf_dirs.name_of(f) == basename(name)), None)
        if there is None:
            return name
        if there.path == name and there.kind == "f" and there.target is None and _simple(there):
            return name
    return None


def _simple(file: File) -> bool:
    """Whether a line at the end belongs to [Service]: no other section, no continued line."""
    lines = [line.strip(BLANKS) for line in file.lines]
    heads = {line for line in lines if line.startswith("[")}
    goes_on = bool(lines) and lines[-1].endswith("\\")
    return heads <= {"[Service]"} and not goes_on and not any(map(NOT_UTF_8.search, lines))


def limit_lines(
    readings: HostView, unit: str, setting: str, item: Item
) -> tuple[list[UnitLimitLine], list[ConfigLine]]:
    """The lines that set it, in reading order, and those that systemd ignores.

    A drop-in in /run may hide a persistent one of that name until the boot: both are included.
    """
    every = readings.files(*dropin_patterns(unit))
    mains = [f for f in readings.files(*main_patterns(unit)) if f.kind == "f"]
    order = {f.path: "" for main in (mains, conf_dirs.persistent(mains)) for f in main[:1]} | {
        f.path: conf_dirs.name_of(f)
        for files in (every, conf_dirs.persistent(every))
        for f in conf_dirs.effective(files)
    }
    valid: list[UnitLimitLine] = []
    invalid: list[ConfigLine] = []
    files = sorted(
        (f for f in (*mains, *every) if f.path in order),
        key=lambda f: (order[f.path], conf_dirs.volatile(f.path)),
    )
    for file in files:
        name = order[file.path]
        own = not name or file.path.split("/")[-2] == f"{unit}.d"
        for source, value, complete in assignments(file, "Service", setting):
            limit = parsed(item, value)
            if limit is None:
                invalid.append(replace(source, note="systemd takes no such value"))
            else:
                valid.append(
                    UnitLimitLine(source, limit, conf_dirs.leads_to(file), name, own, complete)
                )
    return valid, invalid

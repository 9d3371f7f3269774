"""systemd's unit files: which one is effective, which is masked, and what pulls one in at boot.

Source: systemd.unit(5), "UNIT FILE LOAD PATH" (system.attached is portablectl(1)'s) and the
.wants/, .requires/ and .upholds/ folders. Only files that survive a boot count: /run is empty after
it, and generators run again.
"""

from facts.parsers.blanks import BLANKS, split_words
from hale.model.evidence import EXISTENCE, File, HostView, select

# Highest priority first. With a merged /usr the last two are one folder.
FOLDERS = (
    "/etc/systemd/system.control",
    "/etc/systemd/system",
    "/etc/systemd/system.attached",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
PULLS = ("wants", "requires", "upholds")
# Where `systemctl enable` makes its links, by the key of the [Install] section.
_INSTALL_FOLDERS = {"WantedBy": ".wants/", "RequiredBy": ".requires/", "Alias": ""}


def file_patterns(unit: str) -> tuple[str, ...]:
    """Possible paths of a unit's own file; the name may be a pattern."""
    return tuple(f"{folder}/{unit}" for folder in FOLDERS)


def dropin_patterns(unit: str) -> tuple[str, ...]:
    """Patterns of a unit's drop-ins."""
    return tuple(f"{folder}/{unit}.d/*.conf" for folder in FOLDERS)


def pull_patterns(unit: str) -> tuple[str, ...]:
    """Patterns of the links by which other units pull it in; the name may be a pattern."""
    return tuple(f"{folder}/*.{kind}/{unit}" for folder in FOLDERS for kind in PULLS)


def existence(*units: str) -> tuple[str, ...]:
    """The units' own files and what pulls them in, without their content."""
    patterns = (p for unit in units for p in (*file_patterns(unit), *pull_patterns(unit)))
    return select(EXISTENCE, *patterns)


def in_force(readings: HostView, *units: str) -> dict[str, File]:
    """The file of each unit of these names or patterns, from the folder of highest priority."""
    found: dict[str, File] = {}
    for file in readings.files(*(p for unit in units for p in file_patterns(unit))):
        found.setdefault(file.path.rpartition("/")[2], file)
    return found


def pull_links(readings: HostView, *units: str) -> list[File]:
    """The links that pull in units of these names or patterns, each once."""
    found: dict[tuple[str, ...], File] = {}
    for file in readings.files(*(p for unit in units for p in pull_patterns(unit))):
        found.setdefault(tuple(file.path.split("/")[-2:]), file)
    return [file for file in found.values() if not masked(file)]


def pulled_by(link: File) -> str:
    """The unit whose folder contains the link."""
    return link.path.split("/")[-2].rpartition(".")[0]


def masked(file: File) -> bool:
    """Whether it is a link to /dev/null or an empty file; systemd treats both as a mask."""
    return file.masked or (file.kind == "f" and file.content == ())


def mask(readings: HostView, unit: str) -> File | None:
    """The mask that keeps this unit from starting, if there is one."""
    found = in_force(readings, unit).get(unit)
    return found if found and masked(found) else None


def name_of_path(path: str, kind: str) -> str:
    """`/dev/disk/by-uuid/1-2` and `swap` give `dev-disk-by\\x2duuid-1\\x2d2.swap`.

    Source: systemd.unit(5), "STRING ESCAPING FOR INCLUSION IN UNIT NAMES".
    """
    text = "/".join(part for part in path.split("/") if part)
    escaped = "".join(
        "-"
        if c == "/"
        else c
        if (c.isascii() and c.isalnum()) or c in ":_" or (c == "." and at)
        else "".join(f"\\x{byte:02x}" for byte in c.encode())
        for at, c in enumerate(text)
    )
    return f"{escaped or '-'}.{kind}"


def install_links(file: File, unit: str) -> tuple[str, ...]:
    """The links that `systemctl enable` makes for the unit, by its file's [Install] section.

    Empty where there is none, or where it does more than make links (Also=, DefaultInstance=).
    """
    links: list[str] = []
    section = ""
    for text in file.content or ():
        section = text.strip(BLANKS) if text.startswith("[") else section
        key, _, value = text.partition("=")
        if section != "[Install]" or not value.strip(BLANKS):
            continue
        if key.strip(BLANKS) not in _INSTALL_FOLDERS:
            return ()
        folder = _INSTALL_FOLDERS[key.strip(BLANKS)]
        for name in split_words(value):
            links.append(f"/etc/systemd/system/{name}{folder and folder + unit}")
    return tuple(links)

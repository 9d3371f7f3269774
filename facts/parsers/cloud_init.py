"""What cloud-init does at every boot to files that other subjects read. Not a subject.

Sources: cloud-init's documentation, "Boot stages", "Update Etc Hosts", "Set Hostname",
"Update Hostname", "How to disable cloud-init", "Module reference" (frequencies); its settings.py
and helpers.py for the order: user data over vendor data (the second kind of it over the first) over
cloud.cfg.d (the later name wins) over cloud.cfg; its config/modules.py for the lists of modules;
handlers/cloud_config.py, which has merged all parts of user data (archives, MIME, merge_how) and
rendered templates before it writes cloud-config.txt; handlers/boot_hook.py; util.py, read_conf (a
template in cloud.cfg.d).
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from facts.parsers import host_yaml, systemd_units
from facts.parsers.blanks import BLANKS, split_words
from hale.model.evidence import EXISTENCE, ConfigLine, File, HostView, Selection, Unreadable, select

PROGRAM = "/usr/bin/cloud-init"
SWITCHED_OFF = ("/etc/cloud/cloud-init.disabled", "/run/cloud-init/disabled")
ARGUMENTS = "/proc/cmdline"
CONFIGURATION = (
    "/etc/cloud/cloud.cfg",
    "/etc/cloud/cloud.cfg.d/*.cfg",
    "/var/lib/cloud/instance/vendor-cloud-config.txt",
    "/var/lib/cloud/instance/vendor2-cloud-config.txt",
    "/var/lib/cloud/instance/cloud-config.txt",
)
# The stage of cloud_init_modules; the second since cloud-init 24.3.
UNITS = ("cloud-init.service", "cloud-init-network.service", "cloud-init.target")
MASKS = tuple(path for unit in UNITS for path in systemd_units.file_patterns(unit))
LISTS = ("cloud_init_modules", "cloud_config_modules", "cloud_final_modules")
TRUE = ("true", "yes", "on", "1")
KEYS = ("fqdn", "hostname", "manage_etc_hosts", "preserve_hostname")
# Scripts of the user data, which run once, unless the list of modules has `[scripts-user, always]`.
SCRIPTS = "/var/lib/cloud/instance/scripts/"
# The keys that are read, with what is below them: commands and passwords are below others.
_BLOCKS = (*LISTS, "bootcmd")
_TEMPLATE = "## template:"
_LINES = Selection(
    rf"{_TEMPLATE}|[\"']?({'|'.join((*KEYS, *_BLOCKS))})[\"']?[[:space:]]*:",
    follow="[-[:space:]#]|$",
)
# The same where all keys of a file are indented, as in JSON; what is deeper comes along.
_INDENTED = Selection(
    rf"[[:space:]]+[\"']?({'|'.join(_BLOCKS)})[\"']?[[:space:]]*:",
    follow=r"[[:space:]]*([]-]|$)|[[:space:]]{4}",
)
# Keys without a value, which show how far the outermost keys are indented.
_OUTERMOST = Selection(
    rf"[\"']?[A-Za-z0-9_-]+[\"']?[[:space:]]*:[[:space:]]*([|>][-+0-9]*)?[[:space:]]*$"
    rf"|[[:space:]]+({'|'.join(KEYS)})[[:space:]]*:"
)
# The same keys of a file in JSON, or in YAML's flow style.
_FLOW = Selection(
    rf"[[:space:]]*([{{].*({'|'.join((*KEYS, 'bootcmd'))})|\"({'|'.join(KEYS)}))[\"']?[[:space:]]*:"
)
FILES = (
    *select(EXISTENCE, PROGRAM, *SWITCHED_OFF, *MASKS),
    ARGUMENTS,
    *select(_LINES, *CONFIGURATION),
    *select(_FLOW, *CONFIGURATION),
    *select(_INDENTED, *CONFIGURATION),
    *select(_OUTERMOST, *CONFIGURATION),
)


def runs_at_boot(readings: HostView) -> bool:
    """Whether it is installed and not disabled. Raises Unreadable."""
    if readings.file(PROGRAM) is None or readings.files(*SWITCHED_OFF):
        return False
    if any(systemd_units.mask(readings, unit) for unit in UNITS):
        return False
    arguments = readings.file(ARGUMENTS)
    return "cloud-init=disabled" not in (
        split_words(" ".join(arguments.lines)) if arguments else ()
    )


def setting(readings: HostView, key: str) -> tuple[str, ConfigLine] | None:
    """The value of one of KEYS, at the top level, and the effective line; None without one.

    Lists and maps are not read. Raises Unreadable where a configuration file cannot be read.
    """
    found = None
    for file in readings.files(*CONFIGURATION):
        found = _in_file(file, key) or found
    return found


def module_runs(readings: HostView, module: str) -> bool:
    """Whether one of the lists of modules has this one, to be run at every boot.

    A list replaces that of an earlier file. True where no file has a list. Raises Unreadable.
    """
    lists = _lists(readings)
    return not lists or any(_names(entry, module) for every in lists.values() for entry in every)


def module_always(readings: HostView, module: str) -> bool:
    """Whether a list has a module that runs once, with `always`. Raises Unreadable."""
    return runs_at_boot(readings) and any(
        _names(entry, module, always=True) for every in _lists(readings).values() for entry in every
    )


def boot_commands(readings: HostView) -> Iterator[tuple[ConfigLine, str]]:
    """The commands of `bootcmd`, which run at every boot; none where cloud-init does not run.

    Raises Unreadable.
    """
    if not runs_at_boot(readings):
        return
    for file in readings.files(*CONFIGURATION):
        listed = _document(file).get("bootcmd")
        for entry in listed if isinstance(listed, list) else ():
            command = " ".join(map(str, entry)) if isinstance(entry, list) else str(entry)
            yield ConfigLine(file.path, 0, f"bootcmd: {command}", changed=file.changed), command


def _lists(readings: HostView) -> dict[str, list[Any]]:
    lists: dict[str, list[Any]] = {}
    for file in readings.files(*CONFIGURATION):
        found = _document(file)
        lists |= {name: found[name] for name in LISTS if isinstance(found.get(name), list)}
    return lists


@lru_cache(maxsize=64)  # several subjects read them
def _document(file: File) -> dict[str, Any]:
    """The file's lists of modules and its bootcmd; empty for one that cannot be parsed, which
    cloud-init leaves out. Raises Unreadable where its template would have to be rendered."""
    text = "\n".join(_blocks(file))
    if not text.strip(BLANKS):
        return {}
    if text.lstrip(BLANKS).startswith('"'):  # JSON
        text = f"{{{text.rstrip(f',}}{BLANKS}')}}}"
    try:
        found = host_yaml.load(text, file.path)
    except host_yaml.InvalidYaml:
        if any(line.startswith(_TEMPLATE) for line in file.lines[:1]):
            raise Unreadable(
                f"{file.path} is a template, and what it comes to is not known: see "
                "`cloud-init query --format`, or the log of cloud-init"
            ) from None
        return {}
    return found if isinstance(found, dict) else {}


def _blocks(file: File) -> list[str]:
    """The lines of the keys in _BLOCKS, of those at the outermost level."""
    outermost = _outermost(file)
    lines: list[str] = []
    inside = False
    for line in file.lines if file.kind == "f" else ():
        text = line.lstrip(" ")
        indent = len(line) - len(text)
        if text[:1] in ("", "#") or (inside and indent == outermost and text[:1] in "-]"):
            lines += [line] if inside else []
            continue
        if indent <= outermost:
            key = re.match(r"""[{]?["']?(\w+)["']?\s*:""", text, re.ASCII)
            inside = bool(key and key[1] in _BLOCKS) or ("bootcmd" in text and text[0] == "{")
        if inside:
            lines.append(line)
    return lines


def _outermost(file: File) -> int:
    """By how many blanks the outermost keys are indented."""
    indents = [
        len(line) - len(line.lstrip(" "))
        for line in (file.lines if file.kind == "f" else ())
        if re.match(r"""[ ]*["']?[\w-]+["']?\s*:""", line, re.ASCII)
    ]
    return min(indents, default=0)


def _names(entry: Any, module: str, *, always: bool = False) -> bool:
    """`name`, `[name, frequency]` or `{name: …, frequency: …}`; a hyphen is an underscore.

    always: whether the frequency must be that, and not only none of those of a single run.
    """
    frequency = ""
    if isinstance(entry, list):
        entry, frequency = [*entry, "", ""][:2]
    elif isinstance(entry, dict):
        entry, frequency = entry.get("name"), entry.get("frequency")
    name = str(entry).replace("-", "_").removeprefix("cc_")
    if always:
        return name == module and frequency == "always"
    return name == module and frequency not in ("once", "once-per-instance")


def _in_file(file: File, key: str) -> tuple[str, ConfigLine] | None:
    found = None
    indent = _outermost(file)
    for number, line in enumerate(file.lines if file.kind == "f" else (), 1):
        plain = rf"""[ ]{{{indent}}}["']?{re.escape(key)}["']?\s*:\s+(.*)$"""
        in_json = indent > 0 and line.lstrip(BLANKS).startswith('"')
        if not in_json and (hit := re.match(plain, line, re.ASCII)):
            value = re.sub(r"\s+#.*$", "", hit[1], flags=re.ASCII).strip(BLANKS).strip("\"'")
            source = ConfigLine(file.path, number, line.strip(BLANKS), changed=file.changed)
            if "{{" in value and file.lines[0].startswith(_TEMPLATE):
                raise Unreadable(f"{source} has a template in {key}: what it comes to is not known")
            found = (value, source)
        elif value := _in_flow(line, key, file.path):
            found = (value, ConfigLine(file.path, number, line.strip(BLANKS), changed=file.changed))
    return found


def _in_flow(line: str, key: str, path: str) -> str:
    """The key's value in a line of JSON or of YAML's flow style; empty without one."""
    text = line.strip(BLANKS).rstrip(",")
    if not text.startswith(("{", '"')):
        return ""
    text = text if text.startswith("{") else f"{{{text}}}"
    try:
        found = host_yaml.load(text if text.endswith("}") else f"{text}}}", path)
    except host_yaml.InvalidYaml:
        return ""
    value = found.get(key) if isinstance(found, dict) else None
    return str(value).lower() if isinstance(value, bool) else str(value or "")

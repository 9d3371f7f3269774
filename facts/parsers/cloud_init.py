"""What cloud-init does at every boot to files that other subjects read. Not a subject.

Sources: cloud-init's documentation, "Boot stages", "Update Etc Hosts", "Set Hostname",
"Update Hostname", "How to disable cloud-init", "Module reference" (frequencies); its settings.py
and helpers/cloudinit for the order: user data over vendor data over cloud.cfg.d (the later name
wins) over cloud.cfg; its config/modules.py for the lists of modules.
"""

import re
from collections.abc import Iterator
from typing import Any

from facts.parsers import systemd_units
from facts.parsers.blanks import BLANKS, split_words
from hale.model.evidence import EXISTENCE, ConfigLine, File, HostView, Selection, select

PROGRAM = "/usr/bin/cloud-init"
SWITCHED_OFF = ("/etc/cloud/cloud-init.disabled", "/run/cloud-init/disabled")
ARGUMENTS = "/proc/cmdline"
CONFIGURATION = (
    "/etc/cloud/cloud.cfg",
    "/etc/cloud/cloud.cfg.d/*.cfg",
    "/var/lib/cloud/instance/vendor-cloud-config.txt",
    "/var/lib/cloud/instance/cloud-config.txt",
)
# The stage of cloud_init_modules; the second since cloud-init 24.3.
UNITS = ("cloud-init.service", "cloud-init-network.service", "cloud-init.target")
MASKS = tuple(path for unit in UNITS for path in systemd_units.file_patterns(unit))
LISTS = ("cloud_init_modules", "cloud_config_modules", "cloud_final_modules")
TRUE = ("true", "yes", "on", "1")
KEYS = ("fqdn", "hostname", "manage_etc_hosts", "preserve_hostname")
# The keys that are read, with what is below them: commands and passwords are below others.
_LINES = Selection(
    rf"[\"']?({'|'.join((*KEYS, *LISTS, 'bootcmd'))})[\"']?[[:space:]]*:", follow="[-[:space:]#]|$"
)
# The same keys of a file in JSON, or in YAML's flow style.
_FLOW = Selection(rf"[[:space:]]*([{{].*|\")({'|'.join(KEYS)})[\"']?[[:space:]]*:")
FILES = (
    *select(EXISTENCE, PROGRAM, *SWITCHED_OFF, *MASKS),
    ARGUMENTS,
    *select(_LINES, *CONFIGURATION),
    *select(_FLOW, *CONFIGURATION),
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
    lists: dict[str, list[Any]] = {}
    for file in readings.files(*CONFIGURATION):
        text = "\n".join(file.lines if file.kind == "f" else ())
        if any(name in text for name in LISTS):
            lists |= _lists(text)
    return not lists or any(_names(entry, module) for every in lists.values() for entry in every)


def boot_commands(readings: HostView) -> Iterator[tuple[ConfigLine, str]]:
    """The commands of `bootcmd`, which run at every boot. Raises Unreadable."""
    for file in readings.files(*CONFIGURATION):
        text = "\n".join(file.lines if file.kind == "f" else ())
        listed = _document(text).get("bootcmd") if "bootcmd" in text else None
        for entry in listed if isinstance(listed, list) else ():
            command = " ".join(map(str, entry)) if isinstance(entry, list) else str(entry)
            yield ConfigLine(file.path, 0, f"bootcmd: {command}", changed=file.changed), command


def _lists(text: str) -> dict[str, list[Any]]:
    found = _document(text)
    return {name: found[name] for name in LISTS if isinstance(found.get(name), list)}


def _document(text: str) -> dict[str, Any]:
    """The file; empty for one that cloud-init leaves out, because it cannot be parsed."""
    import yaml

    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _names(entry: Any, module: str) -> bool:
    """`name`, `[name, frequency]` or `{name: …, frequency: …}`; a hyphen is an underscore."""
    frequency = ""
    if isinstance(entry, list):
        entry, frequency = [*entry, "", ""][:2]
    elif isinstance(entry, dict):
        entry, frequency = entry.get("name"), entry.get("frequency")
    name = str(entry).replace("-", "_").removeprefix("cc_")
    return name == module and frequency not in ("once", "once-per-instance")


def _in_file(file: File, key: str) -> tuple[str, ConfigLine] | None:
    found = None
    for number, line in enumerate(file.lines if file.kind == "f" else (), 1):
        if hit := re.match(rf"""["']?{re.escape(key)}["']?\s*:\s+(.*)$""", line, re.ASCII):
            value = re.sub(r"\s+#.*$", "", hit[1], flags=re.ASCII).strip(BLANKS).strip("\"'")
            source = ConfigLine(file.path, number, line.strip(BLANKS), changed=file.changed)
            found = (value, source)
        elif value := _in_flow(line, key):
            found = (value, ConfigLine(file.path, number, line.strip(BLANKS), changed=file.changed))
    return found


def _in_flow(line: str, key: str) -> str:
    """The key's value in a line of JSON or of YAML's flow style; empty without one."""
    import yaml

    text = line.strip(BLANKS).rstrip(",")
    if not text.startswith(("{", '"')):
        return ""
    text = text if text.startswith("{") else f"{{{text}}}"
    try:
        found = yaml.safe_load(text if text.endswith("}") else f"{text}}}")
    except (yaml.YAMLError, ValueError, RecursionError):
        return ""
    value = found.get(key) if isinstance(found, dict) else None
    return str(value).lower() if isinstance(value, bool) else str(value or "")

"""What cloud-init does at every boot to files that other subjects read. Not a subject.

Sources: cloud-init's documentation, "Boot stages", "Update Etc Hosts", "Set Hostname",
"Update Hostname", "How to disable cloud-init"; its settings.py and helpers/cloudinit for the
order: user data over cloud.cfg.d (the later name wins) over cloud.cfg.
"""

import re

from facts.parsers.blanks import BLANKS, split_words
from hale.model.evidence import ConfigLine, File, HostView

PROGRAM = "/usr/bin/cloud-init"
SWITCHED_OFF = ("/etc/cloud/cloud-init.disabled", "/run/cloud-init/disabled")
ARGUMENTS = "/proc/cmdline"
CONFIGURATION = (
    "/etc/cloud/cloud.cfg",
    "/etc/cloud/cloud.cfg.d/*.cfg",
    "/var/lib/cloud/instance/cloud-config.txt",
)
FILES = (PROGRAM, *SWITCHED_OFF, ARGUMENTS, *CONFIGURATION)

TRUE = ("true", "yes", "on", "1")


def runs_at_boot(readings: HostView) -> bool:
    """Whether it is installed and not disabled. Raises Unreadable."""
    if readings.file(PROGRAM) is None or readings.files(*SWITCHED_OFF):
        return False
    arguments = readings.file(ARGUMENTS)
    return "cloud-init=disabled" not in (
        split_words(" ".join(arguments.lines)) if arguments else ()
    )


def setting(readings: HostView, key: str) -> tuple[str, ConfigLine] | None:
    """The value of a top-level key, and the effective line; None where no file sets it.

    Lists and maps are not read. Raises Unreadable where a configuration file cannot be read.
    """
    found = None
    for file in readings.files(*CONFIGURATION):
        found = _in_file(file, key) or found
    return found


def _in_file(file: File, key: str) -> tuple[str, ConfigLine] | None:
    found = None
    for number, line in enumerate(file.lines if file.kind == "f" else (), 1):
        if hit := re.match(rf"""["']?{re.escape(key)}["']?\s*:\s+(.*)$""", line, re.ASCII):
            value = re.sub(r"\s+#.*$", "", hit[1], flags=re.ASCII).strip(BLANKS).strip("\"'")
            source = ConfigLine(file.path, number, line.strip(BLANKS), changed=file.changed)
            found = (value, source)
    return found

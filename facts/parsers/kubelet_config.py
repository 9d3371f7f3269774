"""The kubelet's configuration: top-level keys of its file, and its command-line options.

Sources: kubernetes.io, "Set kubelet parameters via a configuration file", "Kubelet configuration
(v1beta1)"; kubeadm's kubelet integration (kubeadm-flags.env, KUBELET_EXTRA_ARGS).
"""

import re

from facts.parsers.blanks import BLANKS
from hale.model.evidence import ConfigLine, HostView

PATH = "/var/lib/kubelet/config.yaml"
# Files of environment variables in kubeadm's drop-in for kubelet.service, the last one wins.
OPTION_FILES = (
    "/var/lib/kubelet/kubeadm-flags.env",
    "/etc/default/kubelet",
    "/etc/sysconfig/kubelet",
)
PATTERNS = (PATH, *OPTION_FILES)


def setting(readings: HostView, name: str) -> tuple[str, ConfigLine] | None:
    """A top-level key of the file and its line; the last one counts. None where it is not set."""
    file = readings.file(PATH)
    found: tuple[str, ConfigLine] | None = None
    for number, line in enumerate(file.lines if file else (), 1):
        key, colon, value = line.partition(":")
        if colon and key == name:
            text = value.partition("#")[0].strip(BLANKS).strip("\"'")
            found = (
                text,
                ConfigLine(PATH, number, line.strip(BLANKS), True, file.changed if file else 0),
            )
    return found


def option(readings: HostView, name: str) -> tuple[str, ConfigLine] | None:
    """`--NAME=value` in the option files and its line; the last one counts."""
    found: tuple[str, ConfigLine] | None = None
    for path in OPTION_FILES:
        file = readings.file(path)
        for number, line in enumerate(file.lines if file else (), 1):
            if line.lstrip(BLANKS).startswith("#"):
                continue
            for value in re.findall(rf"(?<![\w-])--{re.escape(name)}=([^\s\"']*)", line, re.ASCII):
                source = ConfigLine(
                    path, number, line.strip(BLANKS), True, file.changed if file else 0
                )
                found = value, source
    return found

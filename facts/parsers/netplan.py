"""The addresses that netplan sets at boot. Not a subject.

Sources: netplan's YAML reference and netplan-generate(8).
"""

import re
from collections.abc import Iterator

from msgspec.structs import replace

from facts.parsers.address_setting import AddressSetting, is_true, line_of, plain
from facts.parsers.blanks import BLANKS
from hale.model.evidence import ConfigLine, File, HostView, Unreadable

PROGRAM = "/usr/sbin/netplan"
FOLDERS = ("/run/netplan", "/etc/netplan", "/lib/netplan")
KEYFILES = (
    "/etc/NetworkManager/system-connections/*",
    "/usr/lib/NetworkManager/system-connections/*.nmconnection",
)


def settings(readings: HostView) -> list[AddressSetting]:
    """The addresses of its YAML files. Raises Unreadable."""
    chosen: dict[str, File] = {}
    for folder in FOLDERS:
        for file in readings.files(f"{folder}/*.yaml"):
            chosen.setdefault(file.path.rpartition("/")[2], file)
    found: list[AddressSetting] = []
    off: dict[str, str] = {}
    for name in sorted(chosen):
        for path, value, source in _yaml(chosen[name]):
            # network, ethernets, eth0, addresses
            if len(path) < 4 or path[0] != "network":
                continue
            interface, key = path[2], path[3]
            if key == "addresses" and len(path) == 4 and plain(value):
                found.append(AddressSetting("netplan", interface, plain(value), source))
            elif key in ("dhcp4", "dhcp6") and is_true(value):
                found.append(AddressSetting("netplan", interface, None, source))
            elif key == "activation-mode" and value in ("manual", "off"):
                off[interface] = f"{source} leaves {interface} down"
    return [replace(s, idle=off.get(s.interface, "")) for s in found]


def _yaml(file: File) -> Iterator[tuple[tuple[str, ...], str, ConfigLine]]:
    """Scalars with the keys above them: the subset of YAML that netplan's files use.

    Raises Unreadable for flow mappings, anchors and block scalars.
    """
    above: list[tuple[int, str]] = []
    held = ""
    for number, line in enumerate(file.lines, 1):
        text = re.sub(r"(^|\s)#.*$", "", line.rstrip(BLANKS), flags=re.ASCII)
        text = text.replace("********", "masked")  # hale/redact.py's stars are no alias
        text = held + text.strip(BLANKS) if held else text
        if not text.strip(BLANKS) or text.strip(BLANKS) == "---":
            continue
        if text.count("[") > text.count("]"):  # a list over several lines
            held = text + " "
            continue
        held = ""
        source = line_of(file, number, line)
        if re.search(r"[:\-\[,]\s*[{&*|>!]", text, re.ASCII) and not re.search(
            r"\{\s*\}\s*$", text, re.ASCII
        ):
            raise Unreadable(f"{source}: this YAML is not understood: {text.strip(BLANKS)}")
        indent = len(text) - len(text.lstrip(BLANKS))
        content = text.strip(BLANKS)
        dash = content.startswith("- ") or content == "-"
        while above and (above[-1][0] > indent or (above[-1][0] == indent and not dash)):
            above.pop()
        keys = tuple(key for _, key in above)
        if dash:
            item = content[1:].strip(BLANKS)
            if pair := re.match(r"""(["']?[\w.:/-]+["']?):(\s|$)""", item, re.ASCII):
                yield keys, _unquoted(pair[1]), source  # `- 10.0.0.1/24: {label: …}`, `- to: …`
            else:
                yield keys, _unquoted(item), source
            continue
        key, colon, value = content.partition(":")
        if not colon:
            raise Unreadable(f"{source}: this YAML is not understood: {content}")
        above.append((indent, _unquoted(key)))
        value = value.strip(BLANKS)
        inside = value[1:-1].split(",") if value.startswith("[") else [value]
        for part in inside:
            if part.strip(BLANKS):
                yield (*keys, _unquoted(key)), _unquoted(part.strip(BLANKS)), source


def _unquoted(text: str) -> str:
    return text.strip(BLANKS).strip("\"'")

"""A line of a network configuration that sets an address. Not a subject."""

import ipaddress
from collections.abc import Mapping

from msgspec import Struct

from facts.parsers import card_names
from facts.parsers.blanks import BLANKS
from hale.model.evidence import ConfigLine, File, HostView


class AddressSetting(Struct, frozen=True):
    """A line that sets an address; address: None for DHCP.

    idle: why it has no effect at boot, empty where it has one.
    """

    manager: str
    interface: str
    address: str | None
    source: ConfigLine
    idle: str = ""


def plain(text: str) -> str:
    """The address of `10.0.0.1/24` or `10.0.0.1`, normalized; empty if invalid."""
    try:
        return str(ipaddress.ip_interface(text.strip(BLANKS)).ip)
    except ValueError:
        return ""


def line_of(file: File, number: int, text: str) -> ConfigLine:
    """The line with its file."""
    return ConfigLine(file.path, number, text.strip(BLANKS), changed=file.changed)


def is_true(value: str) -> bool:
    """Whether systemd and netplan read the value as true."""
    return value.lower() in ("yes", "true", "on", "1", "y", "t")


def macs_at_boot(readings: HostView) -> Mapping[str, str]:
    """The hardware address of each card, by its name at the next boot."""
    return card_names.at_boot(readings).macs

"""The VIP in the files of keepalived and kube-vip, which the next boot will use.

Not a subject: facts/vip_owner.py uses it. What runs now may have been started with other files.

Sources: keepalived.conf(5) (comments, include, virtual_ipaddress), keepalived(8), --use-file;
kube-vip's "Static Pods" and its flags' environment.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from posixpath import dirname, join, normpath
from typing import Any

from facts.parsers import boot_network
from facts.parsers.blanks import BLANKS, split_words
from hale.model import budgets
from hale.model.evidence import File, HostView, Selection, Unreadable, matches, select

KEEPALIVED = "/etc/keepalived/keepalived.conf"
KUBE_VIP = "/etc/kubernetes/manifests/kube-vip.yaml"
_ADDRESS = r"[0-9A-Fa-f]*[.:][0-9A-Fa-f.:]*(/[0-9]+)?"

# keepalived.conf may include other files, and the unit's environment may replace it.
INCLUDED = ("/etc/keepalived/*.conf", "/etc/keepalived/*/*.conf")
OPTIONS = ("/etc/default/keepalived", "/etc/sysconfig/keepalived")
# Blocks, addresses, variables, and includes.
_BLOCKS = Selection(
    rf".*[{{}}]|[[:space:]]*(@|[$]|include|v[a-z_]+[[:space:]]|real_server[[:space:]]"
    rf"|[a-z_]+[[:space:]]*$|{_ADDRESS})"
)
FILES = (
    *select(_BLOCKS, KEEPALIVED, *INCLUDED),
    *select(Selection(".*(-f|--use-file)"), *OPTIONS),
)
# Of kube-vip's manifest: keys without a value, names, and values that are addresses.
_END = r"[\"']?[[:space:]]*$"
_MANIFEST = Selection(
    r".*[{[]|[[:space:]]*(-[[:space:]]+)?[\"']?"
    rf"([A-Za-z]+[\"']?:[[:space:]]*$|(kind|name)[\"']?:|--(address|vip)\>|{_ADDRESS}{_END}"
    rf"|value[\"']?:[[:space:]]*[\"']?{_ADDRESS}{_END})"
)
KUBE_VIP_FILES = select(_MANIFEST, KUBE_VIP)

_OTHER_FILE = re.compile(r"""[^#]*(?:=|\s|["'])(?:-f|--use-file)""", re.ASCII)
_INCLUDE = re.compile(r"""include[a-z]?\s+["']?([^"']+)["']?""", re.ASCII)
_ADDRESSES = ("virtual_ipaddress", "virtual_ipaddress_excluded")
# The address, as a variable and as a flag.
_VARIABLES = ("address", "vip_address")
_FLAG = re.compile(r"--(?:address|vip)(?:=(?P<value>.*))?")


def keepalived(readings: HostView, vip: str) -> list[str]:
    """Why keepalived, once started, does not assign the VIP. Raises Unreadable where that is
    unknown: parts are in files elsewhere or for certain machines only, or another file is used.
    """
    for file in readings.files(*OPTIONS):
        if any(map(_OTHER_FILE.match, file.lines)):
            raise Unreadable(f"{file.path}: keepalived is started with another file")
    main = readings.file(KEEPALIVED)
    if main is None:
        return [f"there is no {KEEPALIVED}"]
    reader = _Keepalived(readings.files(*INCLUDED))
    if vip in map(boot_network.plain, reader.addresses(main)):
        return []
    if reader.doubts:
        raise Unreadable(reader.doubts[0])
    return [f"{KEEPALIVED} gives {vip} to no vrrp_instance"]


class _Keepalived:
    """A parsed configuration. doubts: the parts of it that could not be interpreted."""

    def __init__(self, others: Sequence[File]) -> None:
        self.doubts: list[str] = []
        self._others = [file for file in others if file.kind == "f"]
        self._opened = 0

    def addresses(self, file: File) -> Iterator[str]:
        """The first word of each line in a vrrp_instance's blocks of virtual addresses."""
        blocks: list[str] = []
        named: dict[str, str] = {}
        name = ""
        for line in self._lines(file):
            if given := re.fullmatch(r"\$(\w+)\s*=\s*(.*)", line, re.ASCII):
                named[given[1]] = given[2]
                continue
            begins = True
            for word in split_words(re.sub(r"([{}])", r" \1 ", line)):
                if word == "{":
                    blocks.append(name)
                elif word == "}":
                    del blocks[-1:]
                elif begins and "vrrp_instance" in blocks and blocks[-1] in _ADDRESSES:
                    yield self._known(word, named)
                elif begins:
                    name = word
                begins = word in "{}"

    def _known(self, word: str, named: dict[str, str]) -> str:
        found = re.sub(r"\$(\w+)", lambda v: named.get(v[1], v[0]), word, flags=re.ASCII)
        if "$" in found:
            self.doubts.append(f"{KEEPALIVED}: {found} is not known")
        return found

    def _lines(self, file: File) -> Iterator[str]:
        """Its lines without comments, with each `include` replaced by the included lines."""
        self._opened += 1
        if self._opened > budgets.INCLUDES:
            self.doubts.append(f"{file.path}: too many files include each other")
            return
        for number, line in enumerate(file.lines, 1):
            text = re.sub(r"[#!].*", "", line).strip(BLANKS)
            if text.startswith("@"):
                message = f"{text[:60]!r} counts on certain machines only"
                self.doubts.append(f"{file.path}:{number}: {message}")
            elif included := _INCLUDE.fullmatch(text):
                wanted = normpath(join(dirname(file.path), included[1]))
                if not any(matches(wanted, pattern) for pattern in INCLUDED):
                    self.doubts.append(f"{file.path}:{number}: {wanted} is not read")
                for other in self._others:
                    if matches(other.path, wanted):
                        yield from self._lines(other)
            else:
                yield text


def kube_vip(readings: HostView, vip: str) -> list[str]:
    """Why the kubelet, once started, does not run kube-vip for the VIP."""
    file = readings.file(KUBE_VIP)
    if file is None:
        return [f"there is no {KUBE_VIP}"]
    pod = _pod("\n".join(file.lines))
    if pod is None:
        return [f"{KUBE_VIP} is not a Pod"]
    if vip not in map(boot_network.plain, _named_addresses(pod)):
        return [f"{KUBE_VIP} does not name the VIP {vip}"]
    return []


def _pod(text: str) -> dict[str, Any] | None:
    import yaml

    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and found.get("kind") == "Pod" else None


def _named_addresses(pod: dict[str, Any]) -> Iterator[str]:
    """The addresses in the variables and arguments of its containers."""
    spec = pod.get("spec")
    containers = spec.get("containers") if isinstance(spec, dict) else None
    for container in containers if isinstance(containers, list) else ():
        if not isinstance(container, dict):
            continue
        for variable in _list(container, "env"):
            if isinstance(variable, dict) and variable.get("name") in _VARIABLES:
                yield str(variable.get("value"))
        words = [str(word) for key in ("command", "args") for word in _list(container, key)]
        for word, after in pairwise([*words, ""]):
            if flag := _FLAG.fullmatch(word):
                yield after if flag["value"] is None else flag["value"]


def _list(mapping: dict[str, Any], key: str) -> list[Any]:
    found = mapping.get(key)
    return found if isinstance(found, list) else []

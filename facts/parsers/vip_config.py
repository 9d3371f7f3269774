"""The VIP in the files of keepalived and kube-vip, which the next boot will use.

Not a subject: facts/vip_owner.py uses it. What runs now may have been started with other files.
Secrets are masked in what is read, so that auth_pass is not compared.

Sources: keepalived.conf(5) (comments, include, vrrp_script, vrrp_instance), keepalived(8),
--use-file;
kube-vip's "Static Pods" and its flags' environment.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from posixpath import dirname, join, normpath
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from facts.parsers import address_setting, host_yaml, unit_command
from facts.parsers.blanks import BLANKS
from hale.model import budgets
from hale.model.evidence import File, HostView, Selection, Unreadable, matches, select

SERVICE = "keepalived.service"
KEEPALIVED = "/etc/keepalived/keepalived.conf"
KUBE_VIP = "/etc/kubernetes/manifests/kube-vip.yaml"
_ADDRESS = r"[0-9A-Fa-f]*[.:][0-9A-Fa-f.:]*(/[0-9]+)?"

# keepalived.conf may include other files, and the unit's environment may replace it.
INCLUDED = ("/etc/keepalived/*.conf", "/etc/keepalived/*/*.conf")
OPTIONS = ("/etc/default/keepalived", "/etc/sysconfig/keepalived")
# Blocks, addresses, variables, and includes; settings of an instance. Of a script, not its command.
_LINES = Selection(
    rf".*[{{}}]|[[:space:]]*(@|[$]|include|v[a-z_]+[[:space:]]|real_server[[:space:]]|{_ADDRESS}"
    r"|(interface|priority|advert_int|auth_type|unicast_src_ip|mcast_src_ip|weight)[[:space:]]"
    r"|[\"']?[A-Za-z0-9_.-]+[\"']?([[:space:]]+weight[[:space:]].*)?[[:space:]]*([#!].*)?$)"
)
FILES = (
    *select(_LINES, KEEPALIVED, *INCLUDED),
    *select(unit_command.ENVIRONMENT, *OPTIONS),
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
# A quoted text is one word; braces are words of their own.
_WORD = re.compile(r"""[{}]|"[^"]*"?|'[^']*'?|[^\s{}"']+""", re.ASCII)
_DECIMAL = re.compile(r"\d{1,6}(?:\.\d{1,6})?", re.ASCII)
# Headers whose brace people write on the next line.
_BLOCKS = (
    "global_defs", "vrrp_instance", "vrrp_script", "vrrp_sync_group", "authentication",
    "track_script", "track_interface", "unicast_peer", *_ADDRESSES,
)  # fmt: skip
# The address, as a variable and as a flag.
_VARIABLES = ("address", "vip_address")
_FLAG = re.compile(r"--(?:address|vip)(?:=(?P<value>.*))?")


class Instance(Struct, frozen=True):
    """The vrrp_instance of the VIP in one master's files, as its next start reads them.

    file: the main one.

    Values are in keepalived's own spelling, with its defaults. devices: the interfaces that it
    names. peers: those of unicast_peer; empty with multicast. origin: the address that it sends
    from, if given. scripts: what it tracks, name and weight; defined: the names of all scripts.
    paths: its files, those that it includes too.
    """

    file: str
    router_id: str
    version: str
    advert: str
    auth: str
    priority: int
    devices: tuple[str, ...] = ()
    peers: tuple[str, ...] = ()
    origin: str = ""
    scripts: tuple[tuple[str, int], ...] = ()
    defined: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()


def keepalived(readings: HostView, unit: str, vip: str) -> Instance | str:
    """The instance that assigns the VIP once keepalived starts, or why there is none.

    Raises Unreadable where that is unknown: parts are in files elsewhere or for certain machines
    only, or another file is used.
    """
    command = unit_command.start_command(readings, unit, *OPTIONS)
    if command and command.missing:
        return command.missing[0]
    path = _main_file(readings, unit)
    included = readings.files(*INCLUDED)
    main = next((file for file in included if file.path == path), None) or readings.file(KEEPALIVED)
    if main is None or main.path != path:
        return f"there is no {path}"
    reader = _Keepalived(included)
    instance = reader.instance(main, vip)
    if instance:
        return replace(instance, paths=tuple(reader.paths))
    if reader.doubts:
        raise Unreadable(reader.doubts[0])
    return f"{path} gives {vip} to no vrrp_instance"


def doubt(readings: HostView, unit: str) -> str:
    """Why the files may mean something else; empty where they do not. Raises Unreadable."""
    path = _main_file(readings, unit)
    included = readings.files(*INCLUDED)
    reader = _Keepalived(included)
    for file in included:
        if file.path == path:
            list(reader.statements(file))
    return reader.doubts[0] if reader.doubts else ""


def _main_file(readings: HostView, unit: str) -> str:
    """The file of keepalived's next start. Raises Unreadable where it is elsewhere."""
    command = unit_command.start_command(readings, unit, *OPTIONS)
    if command is None:
        for file in readings.files(*OPTIONS):
            if any(map(_OTHER_FILE.match, file.lines)):
                raise Unreadable(f"{file.path}: keepalived is started with another file")
        return KEEPALIVED
    if not command.words or not command.words[0].endswith("/keepalived"):
        text = " ".join(command.words)[:80]
        raise Unreadable(
            f"{command.sources[0]}: {text!r} is not keepalived: look at what it starts"
        )
    path = (command.option("-f", "--use-file") or [KEEPALIVED])[-1]
    if path != KEEPALIVED and not any(matches(path, pattern) for pattern in INCLUDED):
        source = next((s for s in command.sources if path in s.text), command.sources[0])
        raise Unreadable(f"{source}: keepalived is started with another file, {path}: look there")
    return path


class _Keepalived:
    """A parsed configuration. doubts: the parts of it that could not be interpreted.

    paths: the files that were read for it.
    """

    def __init__(self, others: Sequence[File]) -> None:
        self.doubts: list[str] = []
        self.paths: dict[str, None] = {}
        self._headers: list[str] = []
        self._others = [file for file in others if file.kind == "f"]
        self._opened = 0

    def instance(self, file: File, vip: str) -> Instance | None:
        """The first vrrp_instance with the VIP among its virtual addresses."""
        every: dict[str, list[tuple[tuple[str, ...], list[str]]]] = {}
        weights: dict[str, str] = {}
        version = "2"
        for blocks, words in self.statements(file):
            top = blocks[0] if blocks else ""
            if top.startswith("vrrp_instance"):
                every.setdefault(top, []).append((blocks[1:], words))
            elif top.startswith("vrrp_script") and words[0] == "weight" and len(words) > 1:
                weights.setdefault(top.partition(" ")[2], words[1])
            elif words[0] == "vrrp_version":
                version = (words[1:] or [version])[0]
        for lines in every.values():
            if any(_gives(blocks, words, vip) for blocks, words in lines):
                return _instance(file, lines, weights, self._headers, version, vip)
        return None

    def statements(self, file: File) -> Iterator[tuple[tuple[str, ...], list[str]]]:
        """Each line of words with the headers of the blocks that it is in; no headers."""
        blocks: list[str] = []
        named: dict[str, str] = {}
        held: list[str] = []  # a header, if a brace follows
        for line in self._lines(file):
            if given := re.fullmatch(r"\$(\w+)\s*=\s*(.*)", line, re.ASCII):
                named[given[1]] = given[2]
                continue
            for word in _WORD.findall(line):
                if word == "{":
                    blocks.append(" ".join(word.strip("\"'") for word in held))
                    self._headers.append(blocks[-1])
                    held = []
                elif word == "}":
                    yield from self._statement(blocks, held, named)
                    held = []
                    del blocks[-1:]
                else:
                    held.append(word)
            if held and not self._brace_follows(held):
                yield from self._statement(blocks, held, named)
                held = []

    @staticmethod
    def _brace_follows(words: Sequence[str]) -> bool:
        """Whether it is a header whose brace may be on the next line."""
        return words[0] in _BLOCKS

    def _statement(
        self, blocks: Sequence[str], words: Sequence[str], named: Mapping[str, str]
    ) -> Iterator[tuple[tuple[str, ...], list[str]]]:
        if words:
            known = bool(blocks) and blocks[0].startswith("vrrp_instance")
            plain = [word.strip("\"'") for word in words]
            yield tuple(blocks), [self._known(w, named) if known else w for w in plain]

    def _known(self, word: str, named: Mapping[str, str]) -> str:
        found = re.sub(r"\$(\w+)", lambda v: named.get(v[1], v[0]), word, flags=re.ASCII)
        if "$" in found:
            self.doubts.append(f"{KEEPALIVED}: {found} is not known")
        return found

    def _lines(self, file: File) -> Iterator[str]:
        """Its lines without comments, with each `include` replaced by the included lines."""
        self._opened += 1
        self.paths[file.path] = None
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


def _gives(blocks: Sequence[str], words: Sequence[str], vip: str) -> bool:
    inside = bool(blocks) and blocks[-1] in _ADDRESSES
    return inside and address_setting.plain(words[0]) == vip


def _instance(
    file: File,
    lines: Sequence[tuple[tuple[str, ...], list[str]]],
    weights: Mapping[str, str],
    headers: Sequence[str],
    version: str,
    vip: str,
) -> Instance:
    own = {words[0]: words[1] for blocks, words in lines if not blocks and len(words) > 1}
    inside = {
        name: [words for blocks, words in lines if blocks[-1:] == (name,)]
        for name in ("authentication", "unicast_peer", "track_script")
    }
    addresses = [words for blocks, words in lines if _gives(blocks, words, vip)]
    devices = [own["interface"]] if "interface" in own else []
    devices += [w for words in addresses for name, w in pairwise(words) if name == "dev"]
    tracked = []
    for words in inside["track_script"]:
        given = [w for name, w in pairwise(words) if name == "weight"]
        tracked.append((words[0], _number((given or [weights.get(words[0], "0")])[0])))
    auth = [words[1] for words in inside["authentication"] if words[0] == "auth_type" and words[1:]]
    version = own.get("version", version)
    origin = own.get("unicast_src_ip" if inside["unicast_peer"] else "mcast_src_ip", "")
    return Instance(
        file.path,
        str(_number(own.get("virtual_router_id", "0"))),
        version,
        f"{float(own['advert_int']):g}" if _DECIMAL.fullmatch(own.get("advert_int", "")) else "1",
        "" if version == "3" else (auth or [""])[-1],
        _number(own.get("priority", "100")),
        tuple(dict.fromkeys(devices)),
        tuple(words[0] for words in inside["unicast_peer"]),
        origin,
        tuple(tracked),
        tuple(h.partition(" ")[2] for h in headers if h.startswith("vrrp_script ")),
    )


def _number(text: str) -> int:
    return int(text) if re.fullmatch(r"[-+]?\d{1,9}", text, re.ASCII) else 0


def kube_vip(readings: HostView, vip: str) -> list[str]:
    """Why the kubelet, once started, does not run kube-vip for the VIP."""
    file = readings.file(KUBE_VIP)
    if file is None:
        return [f"there is no {KUBE_VIP}"]
    pod = _pod(file)
    if pod is None:
        return [f"{KUBE_VIP} is not a Pod"]
    if vip not in map(address_setting.plain, _named_addresses(pod)):
        return [f"{KUBE_VIP} does not name the VIP {vip}"]
    return []


def _pod(file: File) -> dict[str, Any] | None:
    try:
        found = host_yaml.load("\n".join(file.lines), file.path)
    except host_yaml.InvalidYaml:
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

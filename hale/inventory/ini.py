"""The inventory: an INI file in Ansible's format, read without Ansible.

Sources: Ansible's "How to build your inventory", and its `ini` inventory plugin.
Understood: `[group]`, `[group:children]`, `[group:vars]`, host variables, `host:port`, ranges
(`node-[01:20]`, `rack-[a:c]`, `[0:20:5]`), `#` and `;` comments, quoting,
`ansible_group_priority`. Some mistakes that Ansible accepts silently are errors here: a variable
set twice to different values, two hosts with one address, a comment that would become part of a
value. Files of variables (group_vars/, host_vars/) are not read.
"""

import ast
import hashlib
import ipaddress
import re
import shlex
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from hale.files import regular
from hale.inventory import cluster_spec
from hale.inventory.cluster_spec import ClusterSpec
from hale.model.errors import Location, UserError

OVERRIDE_PREFIX = "hale_"
# Variables with the prefix that override nothing; the second is the old name of the first.
PURPOSE = "hale_purpose"
APPROVALS = "hale_approvals"
OWN_VARIABLES = ("hale_environment", "hale_site", PURPOSE, APPROVALS)
ENDPOINT_KINDS = ("keepalived", "external", "kube-vip")
ENDPOINT = ("vip", "vip_port", "vip_names", "endpoint_kind")
ETCD_KINDS = ("stacked", "external")
RECORDED, SIGNED = "recorded", "signed"  # of hale_approvals
MAX_BYTES = 16 << 20
# Names from before Ansible 2.0, which Ansible still accepts.
OLD_NAMES = {
    "ansible_ssh_host": "ansible_host",
    "ansible_ssh_user": "ansible_user",
    "ansible_ssh_port": "ansible_port",
    "ansible_private_key_file": "ansible_ssh_private_key_file",
}


class Variable(Struct, frozen=True):
    """A variable's text, the group or host that sets it, and where."""

    value: str
    scope: str
    where: Location


class Host(Struct, frozen=True):
    """A host of the inventory. `variables` are merged: host over group over parent over all."""

    name: str
    address: str | None
    groups: frozenset[str]
    variables: Mapping[str, Variable]
    where: Location
    in_inventory: bool = True  # False: only named by a URI such as local://

    def __repr__(self) -> str:
        return f"Host({self.name!r})"  # variables may be secret

    @property
    def is_master(self) -> bool:
        """Whether it is a control-plane host: a member of the group [masters]."""
        return "masters" in self.groups

    def get(self, name: str, default: str = "") -> str:
        """The text of a variable."""
        found = self.variables.get(name)
        return found.value if found else default


class ControlPlaneEndpoint(Struct, frozen=True):
    """Where clients find the apiserver: the VIP, its port and names."""

    vip: str
    port: int
    names: tuple[str, ...]
    kind: str = "keepalived"


class Inventory(Struct, frozen=True):
    """The hosts in the file's order, the host names of each group, and the cluster's settings.

    sha256: of the file's bytes that were read. signed_approvals: where the inventory requires
    that a plan is signed by its approver; None where it does not.
    """

    path: Path
    hosts: tuple[Host, ...]
    groups: Mapping[str, tuple[str, ...]]
    variables: Mapping[str, Variable]  # common to all hosts: [all:vars] and the cluster's group
    endpoint: ControlPlaneEndpoint
    etcd_kind: str = "stacked"
    cluster: ClusterSpec = ClusterSpec()
    sha256: str = ""
    signed_approvals: Location | None = None

    @property
    def environment(self) -> str:
        """`lab` or `site`, for the first line of a run; the variable hale_environment."""
        names = (name for name in OWN_VARIABLES[:2] if name in self.variables)
        found = self.variables.get(next(names, ""))
        return found.value if found else "site"

    @property
    def purpose(self) -> str:
        """What the cluster is for, in the site's words; empty where hale_purpose is not set."""
        found = self.variables.get(PURPOSE)
        return found.value if found else ""

    @property
    def masters(self) -> tuple[Host, ...]:
        """The control-plane hosts, in the file's order."""
        return tuple(h for h in self.hosts if h.is_master)


def load_inventory(path: Path) -> Inventory:
    """Read an inventory. Raises UserError, with file and line, for a mistake in it."""
    try:
        raw = regular.read_file(path, MAX_BYTES)
    except regular.UnfitFile as error:
        raise UserError(
            f"not an inventory: it is {error}. Name one with --inventory FILE.", Location(path)
        ) from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UserError(
            f"cannot read the inventory: {why}. Name one with --inventory FILE.", Location(path)
        ) from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise UserError(
            f"byte {raw[error.start]:#04x} is not UTF-8. Save the file as UTF-8.",
            Location(path, line),
        ) from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise UserError("there is a NUL byte. Save the file as plain text.", Location(path, line))
    found = _Parser(path, text).inventory()
    return msgspec.structs.replace(found, sha256=hashlib.sha256(raw).hexdigest())


_SECTION = re.compile(r"\[([^\]:\s]+)(?::(\w+))?\]\s*(?:[#;].*)?$")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*$")
_GROUP = re.compile(r"\w[\w.-]*$")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$")
_ADDRESS = re.compile(r"[A-Za-z0-9:][A-Za-z0-9._:%-]*$")
_RANGE = re.compile(r"\[([0-9]{1,9}|[A-Za-z]):([0-9]{1,9}|[A-Za-z])(?::([0-9]{1,9}))?\]")
MAX_HOSTS = 10_000


class _Parser:
    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.text = text
        self.members: dict[str, dict[str, Location]] = {}
        self.children: dict[str, dict[str, Location]] = {}
        self.group_vars: dict[str, dict[str, Variable]] = {}
        self.host_vars: dict[str, dict[str, Variable]] = {}
        self.first: dict[str, Location] = {}  # of each host
        self.first_vars: dict[str, Location] = {}  # of each [group:vars]

    def inventory(self) -> Inventory:
        for line, words, section, kind in self._lines():
            where = Location(self.path, line)
            if kind == "vars":
                self._group_variable(section, words, where)
            elif kind == "children":
                self._child(section, words, where)
            else:
                self._hosts(section, words, where)
        self._known_groups()
        self._no_cycles()
        self._priorities()
        hosts = tuple(self._host(name) for name in self.first)
        self._unique(hosts)
        groups = {
            group: tuple(h.name for h in hosts if group in h.groups)
            for group in ["all", *self.members, *self.children]
        }
        site = self._site_variables(hosts)
        endpoint = self._endpoint(site)
        for host in hosts:
            if normalize_address(host.address or host.name) in (
                endpoint.vip,
                *map(normalize_address, endpoint.names),
            ):
                raise UserError(
                    f"{host.name} has the VIP {endpoint.vip} as its own address. "
                    f"The VIP moves between masters and belongs to no host.",
                    host.variables["ansible_host"].where if host.address else host.where,
                )
        etcd_kind = _choose_kind(site, "etcd_kind", ETCD_KINDS)
        addresses = [endpoint.vip, *(h.address or h.name for h in hosts)]
        built = cluster_spec.read_cluster_spec(site, self.path, addresses)
        signed = _choose_kind(site, APPROVALS, (RECORDED, SIGNED)) == SIGNED
        demanded = site[APPROVALS].where if signed else None
        return Inventory(
            self.path, hosts, groups, site, endpoint, etcd_kind, built, signed_approvals=demanded
        )

    def _lines(self) -> Iterator[tuple[int, str, str, str]]:
        section, kind = "ungrouped", "hosts"
        # Not splitlines(), which also splits at form feed and U+2028; editors do not.
        for number, raw in enumerate(self.text.split("\n"), 1):
            line = raw.strip()
            if not line or line[0] in "#;":
                continue
            found = _SECTION.match(line)
            if line[0] != "[" or (not found and _RANGE.match(line)):
                yield number, line, section, kind
                continue
            where = Location(self.path, number)
            if not found:
                raise UserError(f"{line!r} is not a section; write [group] or [group:vars].", where)
            section, kind = found[1], found[2] or "hosts"
            if not _GROUP.match(section):
                raise UserError(f"{section!r} is not a valid group name.", where)
            if kind not in ("hosts", "vars", "children"):
                raise UserError(f"[{section}:{kind}]: use :vars or :children.", where)
            if kind == "hosts":
                self.members.setdefault(section, {})
            elif kind == "children":
                self.children.setdefault(section, {})
            else:
                self.group_vars.setdefault(section, {})
                self.first_vars.setdefault(section, where)

    def _group_variable(self, group: str, line: str, where: Location) -> None:
        name, equals, value = line.partition("=")
        name = name.strip()
        if not equals or not _NAME.match(name):
            raise UserError(f"{line!r} is no variable; write name=value.", where)
        known = self.group_vars.setdefault(group, {})
        if name in known:
            raise UserError(f"{name} is already set at {known[name].where}.", where)
        known[name] = Variable(unquote_group_value(value, where), group, where)

    def _child(self, group: str, line: str, where: Location) -> None:
        words = _split_words(line, where)
        if len(words) != 1:
            raise UserError(f"{line!r}: write one group name per line.", where)
        self.children[group][words[0]] = where

    def _hosts(self, group: str, line: str, where: Location) -> None:
        pattern, *settings = _split_words(line, where)
        pattern, port = _port(pattern)
        names = _expand(pattern, where)
        variables = {"ansible_port": port} if port else {}
        for setting in settings:
            name, equals, value = setting.partition("=")
            if not equals or not _NAME.match(name):
                raise UserError(f"{setting!r} is no variable; write name=value.", where)
            if name in variables:
                raise UserError(f"{name} is set twice for {pattern}.", where)
            variables[name] = unquote_host_value(value)
        members = self.members.setdefault(group, {})
        for name in names:
            if not _HOST.match(name):
                hint = " Write NAME ansible_host=ADDRESS." if ":" in name else ""
                raise UserError(f"{name!r} is not a host name.{hint}", where)
            if name in members:
                raise UserError(f"{name} is already in [{group}], at {members[name]}.", where)
            members[name] = where
            self.first.setdefault(name, where)
            own = self.host_vars.setdefault(name, {})
            for key, value in variables.items():
                if key in own and own[key].value != value:
                    raise UserError(f"{key} of {name} is already set at {own[key].where}.", where)
                own.setdefault(key, Variable(value, name, where))

    def _known_groups(self) -> None:
        known = {"all", "ungrouped", *self.members, *self.children}
        for group, children in self.children.items():
            for child, where in children.items():
                if child not in known:
                    raise UserError(f"[{group}:children] names the unknown group {child}.", where)
        for group, where in self.first_vars.items():
            if group not in known:
                raise UserError(f"[{group}:vars] belongs to an unknown group.", where)
        for name, where in self.first.items():
            if name in known:
                raise UserError(f"{name} is also the name of a group.", where)

    def _parents(self, group: str) -> list[str]:
        return [parent for parent, children in self.children.items() if group in children]

    def _no_cycles(self) -> None:
        finished: set[str] = set()
        for start in self.children:
            # An explicit stack: chains of groups can be deeper than Python's recursion limit.
            trail = {start: iter(self.children.get(start, {}).items())}
            while trail:
                group, children = next(reversed(trail.items()))
                child, where = next(children, (None, None))
                if child is None:
                    finished.add(group)
                    del trail[group]
                elif child in trail:
                    raise UserError(f"group {child} contains itself.", where)
                elif child not in finished:
                    trail[child] = iter(self.children.get(child, {}).items())

    def _priorities(self) -> None:
        """`ansible_group_priority` decides between groups of the same depth; 1 by default."""
        self.priorities: dict[str, int] = {}
        for group, variables in self.group_vars.items():
            if found := variables.get("ansible_group_priority"):
                if not re.fullmatch(r"-?[0-9]{1,9}", found.value):
                    raise UserError(
                        f"ansible_group_priority={found.value!r} is not a number.", found.where
                    )
                self.priorities[group] = int(found.value)

    def _depths(self, host: str) -> dict[str, int]:
        """All groups of a host, with their depth below `all` (the deeper one wins)."""
        depths = {"all": 0}
        pending = [group for group, members in self.members.items() if host in members]
        while pending:
            group = pending[-1]
            parents = [p for p in self._parents(group) if p not in depths]
            if group in depths or not parents:
                pending.pop()
                above = (depths[p] for p in self._parents(group))
                depths.setdefault(group, 1 + max(above, default=0))
            pending += parents
        return depths

    def _host(self, name: str) -> Host:
        depths = self._depths(name)
        merged: dict[str, Variable] = {}
        for group in sorted(depths, key=lambda g: (depths[g], self.priorities.get(g, 1), g)):
            merged.update(self.group_vars.get(group, {}))
        merged.update(self.host_vars.get(name, {}))
        for old, new in OLD_NAMES.items():
            if old in merged:
                merged.setdefault(new, merged[old])
        address = merged.get("ansible_host")
        if address and not _ADDRESS.match(address.value):
            raise UserError(
                f"ansible_host={address.value!r} is not a host name or address.", address.where
            )
        return Host(
            name, address.value if address else None, frozenset(depths), merged, self.first[name]
        )

    def _unique(self, hosts: tuple[Host, ...]) -> None:
        by_address: dict[str, Host] = {}
        for host in hosts:
            where = host.variables["ansible_host"].where if host.address else host.where
            address = normalize_address(host.address or host.name)
            other = by_address.setdefault(address, host)
            if other is not host:
                raise UserError(
                    f"{host.name} has the address {address} of {other.name}, at {other.where}.",
                    where,
                )

    def _site_variables(self, hosts: tuple[Host, ...]) -> dict[str, Variable]:
        """Variables with the same value on every host: those of the cluster."""
        if not hosts:
            raise UserError("the inventory has no hosts.", Location(self.path))
        first, *others = hosts
        common = {
            name: variable
            for name, variable in first.variables.items()
            if variable.scope != first.name
            and all(
                name in o.variables and o.variables[name].value == variable.value for o in others
            )
        }
        for name in (*ENDPOINT, "etcd_kind", APPROVALS, *cluster_spec.VARIABLES):
            given = [h.variables[name] for h in hosts if name in h.variables]
            if given and name not in common:
                # Report the exception, not the rule: a host's own value, or the rarest.
                names = {h.name for h in hosts}
                odd = min(given, key=lambda v: (v.scope not in names, given.count(v)))
                raise UserError(
                    f"{name} applies to the cluster: set it in a group of all hosts.",
                    odd.where,
                )
        return common

    def _endpoint(self, site: Mapping[str, Variable]) -> ControlPlaneEndpoint:
        for name in ("vip", "vip_port", "vip_names"):
            if name not in site:
                raise UserError(
                    f"the variable {name} is missing; set it for all hosts.", Location(self.path)
                )
        vip, port = site["vip"], site["vip_port"]
        try:
            address = str(ipaddress.ip_address(vip.value))
        except ValueError:
            raise UserError(f"vip={vip.value!r} is not an IP address.", vip.where) from None
        if not is_port(port.value):
            raise UserError(f"vip_port={port.value!r} is not a port (1 to 65535).", port.where)
        names = tuple(site["vip_names"].value.replace(",", " ").split())
        if not names or not all(_HOST.match(name) for name in names):
            raise UserError(
                "vip_names: write host names; the first one is used in the apiserver's URL.",
                site["vip_names"].where,
            )
        return ControlPlaneEndpoint(
            address, int(port.value), names, _choose_kind(site, "endpoint_kind", ENDPOINT_KINDS)
        )


def is_port(text: str) -> bool:
    """Whether the text is a port number, 1 to 65535."""
    return bool(re.fullmatch(r"[0-9]{1,5}", text)) and 0 < int(text) < 65536


def _choose_kind(site: Mapping[str, Variable], name: str, known: tuple[str, ...]) -> str:
    found = site.get(name)
    if found is None:
        return known[0]
    if found.value not in known:
        raise UserError(f"{name}={found.value!r}: use one of {', '.join(known)}.", found.where)
    return found.value


def _split_words(line: str, where: Location) -> list[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=False)
    lexer.whitespace_split = True
    lexer.commenters = "#"
    try:
        words = list(lexer)
    except ValueError as error:
        raise UserError(f"{line!r}: {str(error).lower()}; close the quotes.", where) from None
    if not words:
        raise UserError(f"{line!r} names nothing.", where)
    return words


def unquote_host_value(text: str) -> str:
    """A host variable without its inner quotes: Ansible parses each value as a Python literal."""
    value = literal_or_none(text) if text[:1] in ("'", '"') else None
    return value if isinstance(value, str) else text


def unquote_group_value(text: str, where: Location) -> str:
    """A [group:vars] value: the text after `=`, without quotes.

    A comment may follow a quoted value or a number. After an unquoted string, Ansible makes it
    part of the value; that is an error here.
    """
    text = text.strip()
    if text[:1] in ("'", '"'):
        if isinstance(value := literal_or_none(text), str):
            return value
        raise UserError(f"{text!r}: close the quotes, and write nothing after them.", where)
    for comment in re.finditer(r"\s#", text):
        if literal_or_none(text) is None:
            raise UserError(
                f"{text!r}: Ansible makes this comment part of the value. "
                "Quote the value, or put the comment on its own line.",
                where,
            )
        if literal_or_none(text[: comment.start()]) == literal_or_none(text):
            return text[: comment.start()].strip()
    return text


def literal_or_none(text: str) -> object:
    """The text as a Python literal; None if it is not one."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _port(pattern: str) -> tuple[str, str]:
    """Split `host:2222` into host and port. Colons inside brackets belong to a range."""
    found = re.fullmatch(r"((?:[^:\[\]]|\[[^\]]*\])+):([0-9]+)", pattern)
    return (found[1], found[2]) if found else (pattern, "")


def normalize_address(address: str) -> str:
    """The canonical spelling of an address or name."""
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return address.lower().removesuffix(".")


def _expand(pattern: str, where: Location) -> list[str]:
    found = _RANGE.search(pattern)
    if not found:
        if "[" in pattern or "]" in pattern:
            raise UserError(f"{pattern!r}: a range is written [01:20] or [a:c].", where)
        return [pattern]
    first, last, step = found[1], found[2], int(found[3] or 1)
    if first.isdecimal() and last.isdecimal():
        width = len(first) if first.startswith("0") and len(first) > 1 else 0
        if width and len(last) != len(first):
            raise UserError(f"{found[0]}: both ends need the same number of digits.", where)
        numbers = range(int(first), int(last) + 1, step or 1)
        middles = [str(n).zfill(width) for n in numbers[: MAX_HOSTS + 1]]
    elif first.isalpha() and last.isalpha() and first.islower() == last.islower():
        middles = [chr(n) for n in range(ord(first), ord(last) + 1, step or 1)]
    else:
        raise UserError(f"{found[0]}: a range is written [01:20] or [a:c].", where)
    if not middles or step == 0:
        raise UserError(f"{found[0]}: the range is empty.", where)
    ends = _expand(pattern[found.end() :], where) if found.end() < len(pattern) else [""]
    if len(middles) * len(ends) > MAX_HOSTS:
        raise UserError(f"{pattern!r} names more than {MAX_HOSTS} hosts.", where)
    return [f"{pattern[: found.start()]}{m}{end}" for m in middles for end in ends]

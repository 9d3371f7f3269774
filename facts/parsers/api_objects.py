"""Objects of the cluster, of which only selected lines leave the host. Not a subject.

The apiserver prints JSON with one value a line (`pretty=true`), so that sed selects by key and
depth: structure, and the keys that facts need. Values of annotations, of `managedFields`, of
headers, environments and arguments stay on the host. Of Deployments and DaemonSets come those
that a fact knows by image or label.

Sources: kubernetes.io, "API Concepts"; Go's encoding/json (MarshalIndent: a string has no newline).
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct

from facts.parsers import local_apiserver
from facts.parsers.blanks import BLANKS
from hale.model.evidence import Unreadable
from hale.shell import script_with

Answer = TypeVar("Answer")

_LISTS = Path(__file__).with_suffix(".sh")
_SECTION = re.compile(r"section (\S+) (\d+) (.*)", re.ASCII)
_STATUS = re.compile(r"@ (\d{3})", re.ASCII)
_OF_PORT = ("hostPort", "containerPort", "protocol", "hostIP")
_EVERY_ADDRESS = ("", "0.0.0.0", "::")
_APP = r"(match|label) \{\"app\.kubernetes\.io\/name\": "


class KnownProgram(Struct, frozen=True):
    """What a workload is known by. images: the ends of images' names, without tag or digest.

    apps: values of the label app.kubernetes.io/name.
    """

    images: tuple[str, ...]
    apps: tuple[str, ...] = ()

    def runs(self, workload: "Workload") -> bool:
        """Whether this workload has such an image or label."""
        return workload.app in self.apps or any(
            image == end or image.endswith(f"/{end}")
            for image in map(_without_tag, workload.images)
            for end in self.images
        )


class Workload(Struct, frozen=True):
    """A Deployment or DaemonSet; labels: of its pods; wanted, ready: replicas.

    host_ports: TCP ports of their node that its pods have, on all of the node's addresses.
    """

    namespace: str
    name: str
    images: tuple[str, ...]
    labels: Mapping[str, str]
    wanted: int
    ready: int
    account: str = "default"
    host_ports: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def app(self) -> str:
        """The recommended label's value; empty without."""
        return self.labels.get("app.kubernetes.io/name", "")

    @property
    def unready(self) -> str:
        """What its replicas lack, in words; empty where all that are wanted are ready."""
        if not self.wanted:
            return f"{self} is scaled to 0"
        if self.ready < self.wanted:
            return f"{self}: {self.ready} of {self.wanted} replicas are ready"
        return ""

    def selected_by(self, service: Mapping[str, Any]) -> bool:
        """Whether this Service's selector has its pods."""
        selector = service["spec"].get("selector") or {}
        return (
            bool(selector)
            and service["metadata"]["namespace"] == self.namespace
            and selector.items() <= dict(self.labels).items()
        )


class Listing(Struct, frozen=True):
    """The answer to one path: its HTTP status and the selected lines."""

    http: int
    lines: tuple[str, ...]

    @property
    def document(self) -> dict[str, Any]:
        """The selected lines as JSON. Raises Unreadable for another answer than HTTP 200."""
        if self.http != 200:
            raise Unreadable(f"the apiserver answers HTTP {self.http}")
        # A comma before a closing brace is one of a line that was not selected.
        text = re.sub(r",\n(?=[\]}])", "\n", "\n".join(self.lines), flags=re.ASCII)
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise Unreadable(f"not an answer of an apiserver: {text[:80]!r}")
        return found

    @property
    def items(self) -> tuple[dict[str, Any], ...]:
        """The objects of a list. Raises Unreadable."""
        return tuple(self.document.get("items") or ())

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of a Table, by column name. Raises Unreadable."""
        table = self.document
        try:
            names = [column["name"] for column in table["columnDefinitions"]]
            return [dict(zip(names, row["cells"], strict=True)) for row in table.get("rows") or ()]
        except (KeyError, TypeError, ValueError) as error:
            raise Unreadable(f"the table has an unknown format: {error!r}") from None


def shell(programs: Sequence[KnownProgram]) -> str:
    """The functions `get` and `show`, after which workloads of these programs are listed."""
    images = "|".join(_for_sed(end) for p in programs for end in p.images)
    apps = "|".join(_for_sed(app) for p in programs for app in p.apps)
    known = rf'\n(image "([^"]*\/)?({images})[:@"]|{_APP}"({apps or "-"})")'
    return local_apiserver.SHELL + script_with(_LISTS, pki=local_apiserver.PKI, known=known)


def sections(lines: Sequence[str]) -> dict[str, tuple[Listing, ...]]:
    """What `show` printed, by name. Raises Unreadable where curl failed or it is incomplete."""
    found: dict[str, tuple[Listing, ...]] = {}
    name = ""
    listings: list[Listing] = []
    held: list[str] = []
    for line in lines:
        if begins := _SECTION.fullmatch(line):
            name, listings, held = begins[1], [], []
            if begins[2] != "0":
                raise Unreadable(f"{name}: {begins[3] or f'curl ended with {begins[2]}'}")
        elif name and (status := _STATUS.fullmatch(line)):
            listings.append(Listing(int(status[1]), tuple(held)))
            held = []
        elif name and line == "end":
            found[name] = tuple(listings)
            name = ""
        elif name:
            held.append(line)
    if name:
        raise Unreadable(f"the answer of {name} is incomplete")
    return found


def parse_answer(
    lines: Sequence[str],
    parse: Callable[[Sequence[str], Mapping[str, tuple[Listing, ...]]], Answer],
) -> Answer | None:
    """What `parse` makes of a probe's lines and their sections; None where there is no apiserver.

    Raises Unreadable, also for an answer in which `parse` does not find what it needs.
    """
    if not any(line.startswith("at ") for line in lines):
        raise Unreadable(f"the answer is garbled: {' '.join(lines)[:80]!r}")
    if "at none" in lines:
        return None
    found = sections(lines)
    try:
        return parse(lines, found)
    except (LookupError, AttributeError, TypeError, ValueError, OverflowError) as error:
        raise Unreadable(f"the answer has an unknown format: {error!r}") from None


def blocks(listings: Sequence[Listing], what: str) -> list[list[str]]:
    """The tagged lines of each object. what: the kind of objects. Raises Unreadable."""
    found: list[list[str]] = []
    for listing in listings:
        if listing.http != 200:
            raise Unreadable(f"the apiserver answers HTTP {listing.http} for {what}")
        of_listing: list[list[str]] = []
        for line in listing.lines:
            if line == "item":
                of_listing.append([])
            elif of_listing:
                of_listing[-1].append(line)
        found += of_listing
    return found


def workloads(listings: Sequence[Listing]) -> tuple[Workload, ...]:
    """The listed Deployments and DaemonSets. Raises Unreadable."""
    return tuple(map(_workload, blocks(listings, "workloads")))


def _workload(lines: Sequence[str]) -> Workload:
    labels: dict[str, str] = {}
    images = []
    values: dict[str, Any] = {}
    ports: list[dict[str, Any]] = [{}]
    try:
        for line in lines:
            tag, _, text = line.partition(" ")
            value = json.loads(text)
            if tag in ("label", "match"):
                labels |= value
            elif tag == "image":
                images.append(str(value))
            elif tag in _OF_PORT:
                # Each port has a containerPort, and only a hostPort comes before it.
                if tag == "hostPort" or (tag == "containerPort" and tag in ports[-1]):
                    ports.append({})
                ports[-1][tag] = value
            else:
                values.setdefault(tag, value)
        return Workload(
            str(values["namespace"]),
            str(values["name"]),
            tuple(images),
            labels,
            int(values.get("desiredNumberScheduled", values.get("replicas", 0))),
            int(values.get("numberReady", values.get("readyReplicas", 0))),
            str(values.get("serviceAccountName", "default")),
            _host_ports(ports, on_host=bool(values.get("hostNetwork"))),
        )
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise Unreadable(f"a workload has an unknown format: {error!r}") from None


def _host_ports(ports: Sequence[Mapping[str, Any]], *, on_host: bool) -> tuple[int, ...]:
    """on_host: whether the pods are in their node's network, where each port is one of the node."""
    found = [
        port.get("hostPort") or (port.get("containerPort") if on_host else None)
        for port in ports
        if port.get("protocol", "TCP") == "TCP" and port.get("hostIP", "") in _EVERY_ADDRESS
    ]
    return tuple(sorted({int(number) for number in found if number}))


def _without_tag(image: str) -> str:
    folder, slash, last = image.strip(BLANKS).partition("@")[0].rpartition("/")
    return f"{folder}{slash}{last.partition(':')[0]}"


def _for_sed(text: str) -> str:
    return re.escape(text).replace("/", r"\/").replace(r"\-", "-")

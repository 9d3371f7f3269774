"""`--hosts`: the hosts of a run, and the cases that follow from them.

all                     every host of the inventory
masters,k8s-node-01     groups and hosts, separated by commas
k8s-node-*              globs over hosts and groups
all,!k8s-node-02        `!` excludes
ssh://…, local://, docker://…   testinfra's own connections, in the inventory or not
"""

import difflib
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase

from msgspec import Struct

from hale.inventory.ini import Host, Inventory
from hale.model.errors import Location, UserError


class SelectedHost(Struct, frozen=True):
    """A host of a run. uri: the testinfra URI that the operator typed, or ""."""

    host: Host
    uri: str = ""


def select_hosts(
    expression: str, inventory: Inventory, expand: Callable[[str], Sequence[tuple[str, str]]]
) -> tuple[SelectedHost, ...]:
    """The hosts that the expression selects, in the inventory's order, then those of URIs.

    `expand` returns (host name, testinfra's id) for each host of a URI. Raises UserError for a
    word that matches nothing, and if no host remains.
    """
    words = [w.strip() for w in expression.split(",") if w.strip()]
    wanted: dict[str, SelectedHost] = {}
    if words and all(w.startswith("!") for w in words):
        words.insert(0, "all")
    for word in words:
        if word.startswith("!"):
            for host in _match_pattern(word[1:], inventory, wanted):
                wanted.pop(host, None)
        elif "://" in word:
            for chosen in _match_uri(word, inventory, expand):
                if chosen.host.name in wanted:
                    raise UserError(f"--hosts names {chosen.host.name} twice: once as {word}.")
                wanted[chosen.host.name] = chosen
        else:
            by_name = {h.name: h for h in inventory.hosts}
            for name in _match_pattern(word, inventory, ()):
                if name in wanted and wanted[name].uri:
                    raise UserError(f"--hosts names {name} twice: once as {wanted[name].uri}.")
                wanted[name] = SelectedHost(by_name[name])
    if not wanted:
        raise UserError(f"--hosts={expression} selects no host.")
    order = {h.name: n for n, h in enumerate(inventory.hosts)}
    return tuple(sorted(wanted.values(), key=lambda c: order.get(c.host.name, len(order))))


def _match_pattern(word: str, inventory: Inventory, extra: Iterable[str]) -> list[str]:
    names = {h.name: [h.name] for h in inventory.hosts} | {n: [n] for n in extra}
    known = names | {group: list(members) for group, members in inventory.groups.items()}
    if word in known:
        return known[word]
    found = [n for key, members in known.items() if fnmatchcase(key, word) for n in members]
    if not found:
        close = difflib.get_close_matches(word, known, 1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise UserError(
            f"--hosts: no host or group {word!r} in {inventory.path}.{hint} "
            "To target a host that is not in the inventory, use a URI such as "
            f"ssh://{word or 'HOST'}."
        )
    return list(dict.fromkeys(found))


def _match_uri(
    uri: str, inventory: Inventory, expand: Callable[[str], Sequence[tuple[str, str]]]
) -> Iterable[SelectedHost]:
    for name, identity in expand(uri):
        planned = next((h for h in inventory.hosts if h.name == name), None)
        site = inventory.variables
        yield SelectedHost(
            planned
            or Host(
                identity, None, frozenset({"all"}), site, Location("--hosts"), in_inventory=False
            ),
            uri,
        )

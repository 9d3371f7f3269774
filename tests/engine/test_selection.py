"""`--hosts`: every kind of word, and which rows follow from the hosts."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from hale.audit import cases as audit_cases
from hale.inventory import ini, selection
from hale.inventory.selection import SelectedHost
from hale.model.errors import UserError
from hale.standard import loader

ROOT = Path(__file__).parents[2]
KNOWN = ini.load_inventory(Path(__file__).parent / "data/inventory.ini")
HOSTS = [h.name for h in KNOWN.hosts]
M1, M2, M3, N1, N2 = HOSTS


def expand(uri: str) -> Sequence[tuple[str, str]]:
    """As testinfra does: (its own name, testinfra's id)."""
    scheme, _, rest = uri.partition("://")
    name = rest.partition("?")[0].rpartition("@")[2] or scheme
    return [(name, f"{scheme}://{name}" if rest else scheme)]


def chosen(expression: str) -> tuple[SelectedHost, ...]:
    return selection.select_hosts(expression, KNOWN, expand)


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("all", HOSTS),
        ("k8s", HOSTS),
        ("masters", [M1, M2, M3]),
        ("masters,workers", HOSTS),
        ("workers,masters", HOSTS),
        (f"{M3},{M1}", [M1, M3]),
        (f"workers,{N1},{N1}", [N1, N2]),
        (" masters , , workers ", HOSTS),
        ("*", HOSTS),
        ("*-0[13]", [M1, M3, N1]),
        ("k8s-node-0?", [N1, N2]),
        ("m*", [M1, M2, M3]),
        ("!workers", [M1, M2, M3]),
        (f"!workers,!{M1}", [M2, M3]),
        (f"all,!k8s-node-*,!{M2}", [M1, M3]),
        (f"k8s,!masters,{M2}", [M2, N1, N2]),
        (f"all,!{N2},{N2}", HOSTS),
    ],
)
def test_words(expression: str, names: list[str]) -> None:
    assert [c.host.name for c in chosen(expression)] == names


@pytest.mark.parametrize(
    ("expression", "hosts"),
    [
        ("local://", [("local", "local://", False)]),
        ("ssh://web1", [("ssh://web1", "ssh://web1", False)]),
        (f"ssh://{N1}", [(N1, f"ssh://{N1}", True)]),
        (f"ssh://ops@{N1}?ssh_config=x", [(N1, f"ssh://ops@{N1}?ssh_config=x", True)]),
        (f"local://,{N1}", [(N1, "", True), ("local", "local://", False)]),
        (f"all,!masters,!{N2},ssh://{M1}", [(M1, f"ssh://{M1}", True), (N1, "", True)]),
        ("docker://web,!docker://web,local://", [("local", "local://", False)]),
    ],
)
def test_uris(expression: str, hosts: list[tuple[str, str, bool]]) -> None:
    assert [(c.host.name, c.uri, c.host.in_inventory) for c in chosen(expression)] == hosts


@pytest.mark.parametrize(
    ("expression", "error"),
    [
        ("", "--hosts= selects no host."),
        (",", "--hosts=, selects no host."),
        ("!all", "--hosts=!all selects no host."),
        ("masters,!masters", "selects no host."),
        ("ungrouped", "no host or group 'ungrouped'"),
        ("nope", "no host or group 'nope'"),
        ("master", "Did you mean masters?"),
        ("k8s-node-1", "Did you mean k8s-node-01?"),
        ("MASTERS", "no host or group 'MASTERS'"),
        ("web-*", "no host or group 'web-*'"),
        ("all,!nope", "no host or group 'nope'"),
        ("all,!", "no host or group ''"),
        ("masters:workers", "no host or group 'masters:workers'"),
        ("192.0.2.191", "no host or group '192.0.2.191'"),
        (f"{N1},ssh://{N1}", f"--hosts names {N1} twice: once as ssh://{N1}."),
        (f"ssh://{N1},all", f"--hosts names {N1} twice: once as ssh://{N1}."),
        (f"ssh://a@{N1},ssh://b@{N1}", f"--hosts names {N1} twice"),
        ("local://,local://", "--hosts names local twice"),
    ],
)
def test_words_that_name_nothing(expression: str, error: str) -> None:
    if expression == "ungrouped" and "ungrouped" in KNOWN.groups:
        pytest.skip("known as an empty group")
    with pytest.raises(UserError) as raised:
        chosen(expression)
    assert error in str(raised.value)


def rows(*names: str, profile: str = "extended") -> set[tuple[str, str]]:
    stated = loader.load_standard(ROOT / "standard")
    hosts = [h for h in KNOWN.hosts if h.name in names]
    return {
        (case.host_name, case.requirement.id)
        for case in audit_cases.build_cases(KNOWN, stated, profile, hosts)
    }


def test_a_row_of_the_cluster_needs_all_hosts_that_it_is_read_from() -> None:
    assert ("cluster", "CLOCK-SKEW") in rows(*HOSTS)
    assert ("cluster", "CLOCK-SKEW") not in rows(*HOSTS[:-1])
    assert ("cluster", "HA-ETCD-MEMBERS") in rows(M1, M2, M3)
    assert ("cluster", "HA-ETCD-MEMBERS") not in rows(M1, M2, N1, N2)
    assert ("cluster", "NODES-ODD-MASTERS") in rows(N1)
    assert rows() == set()


def test_of_masters_alone_only_what_is_read_from_all_hosts_is_judged_by_their_answers() -> None:
    stated = loader.load_standard(ROOT / "standard")

    def of_the_cluster(*names: str) -> dict[str, bool]:
        hosts = [h for h in KNOWN.hosts if h.name in names]
        found = audit_cases.build_cases(KNOWN, stated, "extended", hosts, masters_suffice=True)
        return {c.requirement.id: c.masters_only for c in found if c.host is None}

    masters = of_the_cluster(M1, M2, M3)
    assert masters["CMP-COREDNS"]
    assert not masters["HA-ETCD-MEMBERS"]
    assert "CMP-COREDNS" not in of_the_cluster(M1, M2, N1, N2)
    assert not any(of_the_cluster(*HOSTS).values())


def test_a_host_beside_the_inventory_stands_for_no_cluster() -> None:
    stated = loader.load_standard(ROOT / "standard")
    (local,) = chosen("local://")
    found = audit_cases.build_cases(KNOWN, stated, "extended", [local.host])
    assert {case.host_name for case in found} == {"local"}


def test_every_host_has_every_row_of_a_host() -> None:
    """Also those that its role excludes: they are N-A with the reason, not left out."""
    found = rows(*HOSTS)
    of_hosts = {r for h, r in found if h != "cluster"}
    assert {(h, r) for h, r in found if h != "cluster"} == {(h, r) for h in HOSTS for r in of_hosts}

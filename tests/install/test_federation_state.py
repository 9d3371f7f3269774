"""What a join and a leave read of two clusters, and what they refuse."""

from pathlib import Path

import pytest

from hale.install.federation import state
from hale.install.federation.state import (
    FederationHost,
    FederationMember,
    MemberObject,
    RefusalKind,
)
from hale.inventory import ini
from hale.inventory.ini import Inventory
from hale.model.errors import UserError
from tests.install import factories

SECOND = """
[masters]
b1 ansible_host=10.9.0.1
[k8s:children]
masters
[k8s:vars]
vip=10.9.0.100
vip_port=16443
vip_names=b.example
cluster_name=second
pod_cidr=10.245.0.0/16
service_cidr=10.112.0.0/16
"""
HOST = FederationHost("uid-0", (MemberObject("first", "uid-1"),), ("10.244.1.2",))
MEMBER = FederationMember("uid-2", ("10.245.0.2",), account=None)


def inventory(folder: Path, text: str) -> Inventory:
    path = folder / "inventory.ini"
    path.write_text(text)
    return ini.load_inventory(path)


def both(folder: Path, second: str = SECOND) -> tuple[Inventory, Inventory]:
    factories.made(folder)  # its files
    (folder / "second").mkdir()
    return inventory(folder, factories.INVENTORY), inventory(folder / "second", second)


def test_what_a_host_of_karmada_prints() -> None:
    read = state.parse_host(
        "uid uid-0\nmember m1 uid-1-\nmember m2 -\nplaced m1 Deployment/default/web\n"
        "placed m1 ConfigMap/default/web\nplaced m2 Deployment/default/web\n"
        "pod 10.244.1.2\npod 10.244.2.2\nend\n"
    )
    assert read.uid == "uid-0"
    assert read.members == (MemberObject("m1", "uid-1"), MemberObject("m2", ""))
    assert read.pods == ("10.244.1.2", "10.244.2.2")
    assert read.placed["m1"] == ("ConfigMap/default/web", "Deployment/default/web")


def test_what_a_member_prints() -> None:
    assert state.parse_member("uid u\npod 10.245.0.2\nend\n") == FederationMember(
        "u", ("10.245.0.2",), account=None
    )
    assert state.parse_member("uid u\naccount uid-0-\nend\n").account == "uid-0"
    assert state.parse_member("uid u\naccount -\nend\n").account == ""


@pytest.mark.parametrize("text", ["", "uid u\n", "uid u\npod 10.245.0.2\n"])
def test_a_truncated_answer(text: str) -> None:
    with pytest.raises(UserError, match="truncated"):
        state.parse_member(text)


@pytest.mark.parametrize("text", ["uid\nend\n", "uid u\npod\nend\n", "end\n"])
def test_a_garbled_answer(text: str) -> None:
    with pytest.raises(UserError, match="garbled"):
        state.parse_member(text)


def test_ranges_that_are_apart(tmp_path: Path) -> None:
    assert list(state.range_refusals(*both(tmp_path))) == []


@pytest.mark.parametrize(
    ("old", "new", "about"),
    [
        (
            "pod_cidr=10.245.0.0/16",
            "pod_cidr=10.244.128.0/17",
            ("pod_cidr 10.244.0.0/16", "kubernetes", "pod_cidr 10.244.128.0/17", "second"),
        ),
        (
            "service_cidr=10.112.0.0/16",
            "service_cidr=10.96.0.0/16",
            ("service_cidr 10.96.0.0/12", "kubernetes", "service_cidr 10.96.0.0/16", "second"),
        ),
        (
            "10.9.0.1\n",
            "10.244.3.1\n",
            ("pod_cidr 10.244.0.0/16", "kubernetes", "the address 10.244.3.1", "b1"),
        ),
    ],
)
def test_ranges_that_overlap(tmp_path: Path, old: str, new: str, about: tuple[str, ...]) -> None:
    assert old in SECOND
    (refusal,) = state.range_refusals(*both(tmp_path, SECOND.replace(old, new)))
    assert (refusal.kind, refusal.about) == (RefusalKind.OVERLAP, about)
    assert "need ranges of their own" in str(refusal)


def test_a_range_that_is_not_known(tmp_path: Path) -> None:
    second = SECOND.replace("pod_cidr=10.245.0.0/16\n", "")
    (refusal,) = state.range_refusals(*both(tmp_path, second))
    assert (refusal.kind, refusal.about) == (RefusalKind.NO_POD_RANGE, ("second",))


@pytest.mark.parametrize(
    ("name", "host", "member", "kinds"),
    [
        ("second", HOST, MEMBER, []),
        ("first", HOST, MEMBER, [RefusalKind.NAME_TAKEN]),
        (
            "second",
            HOST,
            FederationMember("uid-1", ("a",), account="uid-0"),
            [RefusalKind.JOINED_ALREADY],
        ),
        (
            "first",
            HOST,
            FederationMember("uid-1", ("a",), account="uid-0"),
            [RefusalKind.JOINED_ALREADY],
        ),
        (
            "second",
            HOST,
            FederationMember("uid-2", ("a",), account="uid-9"),
            [RefusalKind.ACCOUNT_THERE],
        ),
        # Another program's namespace; and what an interrupted join has made.
        (
            "second",
            HOST,
            FederationMember("uid-2", ("a",), account=""),
            [RefusalKind.ACCOUNT_THERE],
        ),
        ("second", HOST, FederationMember("uid-2", ("a",), account="uid-0"), []),
        ("second", HOST, FederationMember("uid-2", (), account=None), [RefusalKind.NO_DNS_POD]),
        ("second", FederationHost("uid-0", (), ()), MEMBER, [RefusalKind.NO_DNS_POD]),
    ],
)
def test_who_may_join(
    tmp_path: Path,
    name: str,
    host: FederationHost,
    member: FederationMember,
    kinds: list[RefusalKind],
) -> None:
    found = state.join_refusals(name, *both(tmp_path), host, member)
    assert [refusal.kind for refusal in found] == kinds


@pytest.mark.parametrize(
    ("name", "uid", "account", "kinds"),
    [
        ("first", "uid-1", "uid-0", []),
        ("second", "uid-1", "uid-9", [RefusalKind.NO_MEMBER]),
        ("second", "uid-1", None, [RefusalKind.NO_MEMBER]),
        # An interrupted join or leave is completed.
        ("second", "uid-2", "uid-0", []),
        ("first", "uid-2", "uid-0", [RefusalKind.ANOTHER_CLUSTER]),
    ],
)
def test_who_may_leave(name: str, uid: str, account: str | None, kinds: list[RefusalKind]) -> None:
    member = FederationMember(uid, (), account=account)
    assert [refusal.kind for refusal in state.leave_refusals(name, HOST, member)] == kinds


def test_routes_that_are_missing(tmp_path: Path) -> None:
    _, second = both(tmp_path)
    endpoint = state.endpoint_of(second)
    assert endpoint == "10.9.0.100:16443"
    output = f"reached 10.245.0.2:53\nlost 10.245.0.3:53\nlost {endpoint}\nend\n"
    route, apiserver = state.reach_refusals(output, "w1", second, endpoint)
    assert (route.kind, route.host) == (RefusalKind.NO_ROUTE, "w1")
    assert route.about == ("10.245.0.3:53", "second", "10.245.0.0/16")
    assert apiserver.kind == RefusalKind.NO_APISERVER
    assert str(route).startswith("w1: no connection to the pod 10.245.0.3:53 of second")

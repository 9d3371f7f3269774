"""ip(8) and ifconfig(8) in the forms that they accept, and in those that set no address here."""

import pytest

from facts.parsers.ip_command import added_addresses

VIP = "10.0.0.9/32"


@pytest.mark.parametrize(
    "command",
    [
        "ip address add 10.0.0.9/32 dev lo",
        "ip a a 10.0.0.9/32 dev lo",
        "ip ad ad 10.0.0.9/32 dev lo",
        "ip addr add dev lo 10.0.0.9/32",
        "ip addr add local 10.0.0.9/32 dev lo label lo:0",
        "ip addr add dev lo scope host 10.0.0.9/32 brd 10.0.0.255",
        "ip a replace 10.0.0.9/32 dev lo",
        "ip a r 10.0.0.9/32 dev lo",
        "ip a c 10.0.0.9/32 dev lo",
        "ip a chg 10.0.0.9/32 dev lo",
        "ip -4 addr add 10.0.0.9/32 dev lo",
        "ip -family inet -o addr add 10.0.0.9/32 dev lo",
        "ip -f inet a a 10.0.0.9/32 dev lo",
        "ip -rc 1000 a a 10.0.0.9/32 dev lo",
        "/sbin/ip a a 10.0.0.9/32 dev lo",
        "-/usr/sbin/ip addr add 10.0.0.9/32 dev lo || true",
        "busybox ip addr add 10.0.0.9/32 dev lo",
        "exec sudo ip a a 10.0.0.9/32 dev lo",
        "/bin/sh -c 'ip link set lo up; ip a a 10.0.0.9/32 dev lo'",
        'bash -c "sleep 1 && ip a a 10.0.0.9/32 dev lo"',
        "[ -e /x ] || ip a a 10.0.0.9/32 dev lo",
        "(ip a a 10.0.0.9/32 dev lo)",
        "if ! ip a a 10.0.0.9/32 dev lo; then exit; fi",
        "ip a a '10.0.0.9/32' dev lo",
        "ip a a 10.0.0.9/32 dev lo # don't",
        'echo "it\'s" `ip a a 10.0.0.9/32 dev lo',
        "ifconfig lo:0 10.0.0.9/32 netmask 255.255.255.255 up",
        "ifconfig lo inet 10.0.0.9/32 broadcast 10.0.0.255",
        "/sbin/ifconfig eth0 add 10.0.0.9/32",
        "ip a a $VIP dev lo",
        "ip a a ${VIP} dev lo",
    ],
)
def test_it_sets_the_address(command: str) -> None:
    assert list(added_addresses(command, {"VIP": VIP})) == [VIP]


@pytest.mark.parametrize(
    "command",
    [
        "ip a",
        "ip a s dev lo",
        "ip addr show 10.0.0.9/32",
        "ip addr del 10.0.0.9/32 dev lo",
        "ip a d 10.0.0.9/32 dev lo",
        "ip addr flush dev lo to 10.0.0.9/32",
        "ip a restore",
        "ip route add 10.0.0.9/32 dev lo",
        "ip r a 10.0.0.9/32 dev lo",
        "ip addrlabel add prefix 10.0.0.9/32 label 1",
        "ip maddr add 01:00:5e:00:00:01 dev lo",
        "ip -n blue addr add 10.0.0.9/32 dev lo",
        "ip -net blue addr add 10.0.0.9/32 dev lo",
        "ip netns exec blue ip addr add 10.0.0.9/32 dev lo",
        "ip net exec blue ip a a 10.0.0.9/32 dev lo",
        "# ip a a 10.0.0.9/32 dev lo",
        "echo zip a a 10.0.0.9/32",
        "ifconfig lo:0 down",
        "ifconfig lo:0 del 10.0.0.9/32",
        "curl --interface eth0 https://10.0.0.9/32",
    ],
)
def test_it_sets_none(command: str) -> None:
    assert list(added_addresses(command)) == []


def test_the_peer_is_another_host() -> None:
    assert list(added_addresses("ip a a 10.0.0.1 peer 10.0.0.9 dev tun0")) == ["10.0.0.1"]


def test_two_commands_set_two() -> None:
    line = "ip a a 10.0.0.1/24 dev eth0; ip a a 10.0.0.9/32 dev lo"
    assert list(added_addresses(line)) == ["10.0.0.1/24", "10.0.0.9/32"]

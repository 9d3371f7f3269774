"""Chapter 5: the VIP's names lead to the VIP, without a name server."""

from facts.hosts_file import HostsFilePersisted, HostsFileRuntime


def test_runtime(hosts_file: HostsFileRuntime) -> None:
    assert all(answer.addresses == (hosts_file.vip,) for answer in hosts_file.answers)


def test_persisted(hosts_file: HostsFilePersisted) -> None:
    assert not hosts_file.missing
    assert not hosts_file.repeated
    assert not hosts_file.contradicting
    assert hosts_file.rewritten is None
    assert not hosts_file.lost
    assert not hosts_file.private

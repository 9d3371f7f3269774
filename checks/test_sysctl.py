"""Chapter 9 (1): forwarding, bridged packets through iptables, and inotify beyond the baseline."""

from facts.sysctl import SysctlParameters, SysctlPersisted, SysctlRuntime


def test_runtime(sysctl: SysctlRuntime, parameters: SysctlParameters) -> None:
    assert parameters.met_by(sysctl.value)
    assert not sysctl.exceptions  # of single interfaces


def test_persisted(sysctl: SysctlPersisted, parameters: SysctlParameters) -> None:
    assert parameters.met_by(sysctl.value)
    assert not sysctl.differs  # not only thanks to /run, and not spoiled by it
    assert not sysctl.exceptions
    assert not sysctl.later

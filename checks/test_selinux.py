"""Chapter 7: SELinux is in an accepted mode now, and after every boot."""

from facts.selinux import SelinuxParameters, SelinuxPersisted, SelinuxRuntime


def test_runtime(selinux: SelinuxRuntime, parameters: SelinuxParameters) -> None:
    assert selinux.mode in parameters.modes_until_boot


def test_persisted(selinux: SelinuxPersisted, parameters: SelinuxParameters) -> None:
    assert selinux.mode in parameters.modes
    assert not selinux.contradicts

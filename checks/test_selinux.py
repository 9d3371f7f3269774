"""Chapter 7: SELinux does not enforce, and no boot makes it."""

from facts.selinux import ENFORCING, SelinuxParameters, SelinuxPersisted, SelinuxRuntime


def test_runtime(selinux: SelinuxRuntime) -> None:
    assert selinux.mode != ENFORCING


def test_persisted(selinux: SelinuxPersisted, parameters: SelinuxParameters) -> None:
    assert selinux.mode in parameters.modes
    assert not selinux.contradicts

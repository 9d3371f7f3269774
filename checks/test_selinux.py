"""Chapter 7: SELinux does not enforce, and no boot makes it."""

from facts.selinux import ENFORCING, Parameters, Persisted, Runtime


def test_runtime(selinux: Runtime) -> None:
    assert selinux.mode != ENFORCING


def test_persisted(selinux: Persisted, parameters: Parameters) -> None:
    assert selinux.mode in parameters.modes
    assert not selinux.contradicts

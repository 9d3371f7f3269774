"""Beyond the baseline: no process holds a certificate from before its renewal."""

from facts.held_certificates import HeldCertificatesRuntime


def test_runtime(held_certificates: HeldCertificatesRuntime) -> None:
    assert not held_certificates.held

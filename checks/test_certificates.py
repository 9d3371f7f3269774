"""Beyond the baseline: no certificate expires soon."""

from facts.certificates import CertificatesParameters, CertificatesRuntime


def test_runtime(certificates: CertificatesRuntime, parameters: CertificatesParameters) -> None:
    assert not certificates.faults
    assert all(certificate.begun for certificate in certificates.certificates)
    assert certificates.days >= parameters.days

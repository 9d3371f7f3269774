"""Beyond the document: no certificate runs out soon."""

from facts.certificates import Parameters, Runtime


def test_runtime(certificates: Runtime, parameters: Parameters) -> None:
    assert not certificates.faults
    assert all(certificate.begun for certificate in certificates.certificates)
    assert certificates.days >= parameters.days

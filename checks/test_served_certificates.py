"""Beyond the baseline: the certificates that are served are those of the files, and last."""

from facts.served_certificates import ServedCertificatesParameters, ServedCertificatesRuntime


def test_runtime(
    served_certificates: ServedCertificatesRuntime, parameters: ServedCertificatesParameters
) -> None:
    assert not served_certificates.faults
    assert all(served.lasts(parameters.days) for served in served_certificates.served)

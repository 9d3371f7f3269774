"""Chapter 4: the operating system and its kernel."""

from facts.os_release import OsReleaseParameters, OsReleaseRuntime


def test_runtime(os_release: OsReleaseRuntime, parameters: OsReleaseParameters) -> None:
    assert os_release.is_one_of(parameters.accepted)
    assert os_release.kernel_at_least(parameters.kernel)

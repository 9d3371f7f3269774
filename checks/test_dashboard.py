"""Chapter 2: the web dashboard, by its replicas, Service, rights, and what it shows."""

from facts.dashboard import DashboardRuntime


def test_runtime(dashboard: DashboardRuntime) -> None:
    assert dashboard.dashboards
    assert not dashboard.faults

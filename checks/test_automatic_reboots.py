"""Beyond the baseline: no more masters reboot by themselves at one hour than etcd can lose."""

from facts.automatic_reboots import AutomaticRebootsRuntime


def test_runtime(automatic_reboots: AutomaticRebootsRuntime) -> None:
    assert not automatic_reboots.together

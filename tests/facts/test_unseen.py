"""Files that a user cannot read make no row PASS, and leave it FAIL where it is without them."""

import pytest
from msgspec.structs import replace

from tests.facts.test_boot_target import verdict_of
from tests.facts.test_cases import HERE, GivenOutput, loaded

REFUSED = GivenOutput("", "/var/spool/cron/crontabs is not readable by this user\n", 3)


@pytest.mark.parametrize(
    ("case", "output"),
    [
        ("sysctl/value-0", "writers"),
        ("sysctl/one-interface-off", "writers"),
        ("sysctl/no-line", "writers"),
        ("br_netfilter/nothing-at-all", "writers"),
        ("br_netfilter/blacklisted", "writers"),
        ("swap/fstab-tabs", "boot_commands"),
        ("swap/zram-tools-enabled", "boot_commands"),
        ("address/boot-ifupdown-another-address", "boot_commands"),
        ("address/boot-ifupdown-with-the-vip", "boot_commands"),
    ],
)
def test_what_fails_without_them_stays_so(case: str, output: str) -> None:
    given = loaded((HERE / f"{case}.toml").read_bytes())
    assert given.verdict == "FAIL"
    before = verdict_of(given)
    assert verdict_of(replace(given, outputs={**given.outputs, output: REFUSED})) == before


@pytest.mark.parametrize(
    ("case", "output"),
    [
        ("sysctl/one-line", "writers"),
        ("br_netfilter/named", "writers"),
        ("swap/no-fstab", "boot_commands"),
        ("address/boot-ifupdown", "boot_commands"),
    ],
)
def test_what_passes_is_unknown(case: str, output: str) -> None:
    given = loaded((HERE / f"{case}.toml").read_bytes())
    assert given.verdict == "PASS"
    verdict, reason = verdict_of(replace(given, outputs={**given.outputs, output: REFUSED}))
    assert verdict == "UNKNOWN"
    assert "/var/spool/cron/crontabs is not readable by this user" in reason

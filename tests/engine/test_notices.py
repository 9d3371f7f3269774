"""What a later version ends or begins: a notice two minor versions before, in every report."""

import csv
import io
from pathlib import Path
from xml.etree import ElementTree

import pytest

from hale.audit import results_file
from hale.audit.audit import Audit
from hale.audit.notices import notices
from hale.inventory import ini
from hale.model.evidence import Evidence
from hale.model.notice import Notice, NoticeState
from hale.model.results import Results
from hale.report import formats, terminal
from hale.report.notices import sentence
from tests.engine.answers import HOSTS, answered, audit, inventory
from tests.reports.conftest import recorded  # noqa: F401 - a fixture

PROXY = ("node\n", "CMP-KUBE-PROXY")
GROUPS = ("node\ncgroup tmpfs\n", "NODE-CGROUP-V2")
CONTAINERD = ("containerd running containerd x 1.7.29 y\nnode\n", "CMP-CONTAINERD")
SYSTEM = ("node\n", "OS-RELEASE")


def found(run: Audit, requirement: str) -> list[Notice]:
    return [n for n in notices(run, run.cases) if n.requirement == requirement]


def of_version(folder: Path, minor: int, case: tuple[str, str], *lines: str) -> list[Notice]:
    run = audit(inventory(folder, *lines))
    answered(run, f"kubelet running Kubernetes v1.{minor}.2\n{case[0]}")
    return found(run, case[1])


@pytest.mark.parametrize(
    ("case", "minor", "state", "version", "source"),
    [
        (PROXY, 33, NoticeState.DEPRECATED, "1.35", "KEP-5495"),
        (PROXY, 36, NoticeState.DEPRECATED, "1.35", "KEP-5495"),
        (PROXY, 38, NoticeState.DISABLED, "1.40", "KEP-5495"),
        (PROXY, 41, NoticeState.ENDS, "1.43", "KEP-5495"),
        (GROUPS, 33, NoticeState.FAILS, "1.35", "KEP-5573"),
        (GROUPS, 34, NoticeState.FAILS, "1.35", "KEP-5573"),
        (CONTAINERD, 34, NoticeState.FAILS, "1.36", "v1.35 release notes"),
        (CONTAINERD, 35, NoticeState.FAILS, "1.36", "v1.35 release notes"),
        (SYSTEM, 33, NoticeState.FAILS, "1.35", "KEP-5573"),
    ],
)
def test_what_ends_within_two_minor_versions(
    tmp_path: Path,
    case: tuple[str, str],
    minor: int,
    state: NoticeState,
    version: str,
    source: str,
) -> None:
    (notice,) = of_version(tmp_path, minor, case)
    assert (notice.state, notice.version, notice.used) == (state, version, f"1.{minor}")
    assert notice.source.startswith(source) or source in notice.source
    assert notice.hosts == ["w1"]
    assert notice.instead


@pytest.mark.parametrize(
    ("case", "minor", "lines"),
    [
        (PROXY, 32, ()),
        (PROXY, 43, ()),  # the baseline's mode is nftables
        (PROXY, 36, ("hale_cmp_kube_proxy__mode=nftables",)),
        (GROUPS, 32, ()),
        (GROUPS, 35, ()),  # the row fails
        (("node\ncgroup cgroup2fs\n", "NODE-CGROUP-V2"), 34, ()),
        (CONTAINERD, 33, ()),
        (("containerd running containerd x/v2 v2.1.4 y\nnode\n", "CMP-CONTAINERD"), 35, ()),
        (SYSTEM, 32, ()),
        (
            SYSTEM,
            34,
            ("hale_os_release__accepted=['CentOS Stream 8']", "hale_os_release__kernel=4"),
        ),
        (PROXY, 36, ("hale_cmp_kube_proxy__mode=none",)),
        # The mode's notice is that of the requirement which has it.
        (("node\n", "MOD-IP-VS"), 36, ()),
    ],
)
def test_what_ends_later_or_is_not_in_use(
    tmp_path: Path, case: tuple[str, str], minor: int, lines: tuple[str, ...]
) -> None:
    assert of_version(tmp_path, minor, case, *lines) == []


def test_an_ending_value_of_the_site_is_one_too(tmp_path: Path) -> None:
    (notice,) = of_version(tmp_path, 43, PROXY, "hale_cmp_kube_proxy__mode=ipvs")
    assert (notice.state, notice.version) == (NoticeState.ENDS, "1.43")


def test_what_the_host_runs_is_noticed_in_every_profile_and_selection(tmp_path: Path) -> None:
    run = audit(inventory(tmp_path))
    answered(
        run,
        "kubelet running Kubernetes v1.34.2\ncontainerd running containerd x 1.7.29 y\n"
        "node\ncgroup tmpfs\n",
    )
    run.profile = "baseline"
    chosen = [c for c in run.cases if c.requirement.id == "SWAP-OFF"]
    assert chosen
    have = [(n.state, n.requirement) for n in notices(run, chosen)]
    assert have == [(NoticeState.FAILS, "NODE-CGROUP-V2"), (NoticeState.FAILS, "CMP-CONTAINERD")]
    run.hosts, run.versions_read = {}, {}
    assert notices(run, chosen) == []


def test_hosts_with_the_same_notice_share_it(tmp_path: Path) -> None:
    path = tmp_path / "inventory.ini"
    path.write_text(HOSTS.replace("w1\n", "w1\nw2\nw3\n"))
    run = audit(ini.load_inventory(path))
    for host, minor in (("w1", 34), ("w2", 34), ("w3", 35)):
        answered(run, f"kubelet running Kubernetes v1.{minor}.0\n{GROUPS[0]}", host)
    assert [n.hosts for n in found(run, GROUPS[1])] == [["w1", "w2"]]
    assert [(n.hosts, n.used) for n in found(run, PROXY[1])] == [
        (["w1", "w2"], "1.34"),
        (["w3"], "1.35"),
    ]


def test_without_a_version_that_is_stated_once(tmp_path: Path) -> None:
    run = audit(inventory(tmp_path))
    run.hosts = {"w1": Evidence("w1", unreachable="w1: no route to host")}
    (notice,) = notices(run, run.cases)
    assert (notice.state, notice.hosts) == (NoticeState.UNKNOWN_VERSION, ["w1"])
    assert sentence(notice).startswith("w1: the version of Kubernetes is unknown: no kubelet runs")
    others = [c for c in run.cases if not c.requirement.lifetimes and not c.requirement.values]
    assert others
    assert notices(run, others) == []


# --- reports ---

IPVS = Notice(
    NoticeState.DISABLED,
    "SYS-IP-FORWARD",
    "mode = <b>ipvs\x1b[2J",
    ["k8s-node-01", "k8s-node-02"],
    "kubernetes",
    "1.38",
    "1.40",
    "1.35",
    "1.40",
    "1.43",
    "KEP-5495",
    "nftables",
)
TEXT = (
    "SYS-IP-FORWARD (k8s-node-[01,02]): mode = <b>ipvs\\x1b[2J: Kubernetes has it deprecated from "
    "1.35 on, off by default from 1.40 on, gone from 1.43 on; 1.38 is in use (KEP-5495). Instead: "
    "nftables"
)


@pytest.fixture
def noticed(recorded: Results) -> Results:  # noqa: F811
    recorded.notices = [IPVS]
    return recorded


def test_the_terminal_has_it_even_at_its_shortest(noticed: Results) -> None:
    for verbosity in (-2, 0, 1):
        assert f"! notice: {TEXT}\n" in terminal.text(noticed, 1000, verbosity)


def test_the_page_has_it(noticed: Results) -> None:
    escaped = TEXT.replace("<", "&lt;").replace(">", "&gt;")
    assert f"<li>{escaped}</li>" in formats.FORMATS["html"](noticed)


def test_junit_has_it_as_a_property_of_the_suite(noticed: Results) -> None:
    suite = ElementTree.fromstring(formats.FORMATS["junit"](noticed))[0]
    values = [p.get("value") for p in suite.iterfind("./properties/property[@name='NOTICE']")]
    assert values == [TEXT]


def test_csv_has_it_in_the_lines_of_its_requirement_and_hosts(noticed: Results) -> None:
    lines = csv.DictReader(io.StringIO(formats.FORMATS["csv"](noticed), newline=""))
    have = {(line["host"], line["requirement"]) for line in lines if line["notices"] == TEXT}
    assert have == {(host, "SYS-IP-FORWARD") for host in IPVS.hosts}


def test_results_json_has_all_of_it(noticed: Results) -> None:
    raw = formats.encode(formats.FORMATS["json"](noticed))
    assert results_file.parse_results(raw, Path("results.json")).notices == [IPVS]

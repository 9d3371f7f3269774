"""Which requirements and values hold for which version: the table of all, and how it is decided."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from hale.audit.versions import at_versions, require_held
from hale.inventory import ini
from hale.model.evidence import Evidence, NotApplicable
from hale.model.lifetime import KUBERNETES, HowTested, Lifetime, Version, Versions, spelled
from hale.model.requirement import Requirement
from hale.model.verdict import Verdict
from hale.standard import loader
from hale.standard.lifetimes import values_at
from tests.engine.answers import HOSTS, STANDARD, answered, audit, case_of, inventory

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "tests" / "golden" / "baseline-versions.txt"
MINORS = tuple((1, minor) for minor in range(30, 37))
VALID = (Path(__file__).parent / "standard" / "valid.toml").read_text()


def named(name: str) -> Requirement:
    return next(r for r in STANDARD.requirements if r.id == name)


def held(requirement: Requirement, versions: Versions) -> bool:
    try:
        require_held(requirement, versions)
    except NotApplicable:
        return False
    return True


def stated(version: Version) -> Iterator[str]:
    """Every row and value of the baseline for that version."""
    versions = {KUBERNETES: version}
    for requirement in STANDARD.requirements:
        if not held(requirement, versions):
            continue
        for aspect, text in requirement.aspects.items():
            yield f"{requirement.id} {aspect}: {text}"
        parameters = values_at(requirement.parameters, requirement.values, versions)
        for name, value in msgspec.structs.asdict(parameters).items():
            yield f"{requirement.id} {name} = {json.dumps(value, ensure_ascii=False)}"


def table() -> str:
    """A line for each, behind the first and the last version that has it."""
    found: dict[str, list[Version]] = {}
    for version in MINORS:
        for line in stated(version):
            found.setdefault(line, []).append(version)
    order = {r.id: number for number, r in enumerate(STANDARD.requirements)}
    lines = []
    for line, versions in sorted(found.items(), key=lambda one: order[one[0].split()[0]]):
        assert versions == list(MINORS[MINORS.index(versions[0]) :][: len(versions)]), line
        lines.append(f"{spelled(versions[0])} to {spelled(versions[-1])}  {line}\n")
    return "".join(lines)


def test_the_rows_and_values_of_each_version_are_those_of_the_table() -> None:
    if os.environ.get("HALE_GOLDEN"):
        TABLE.write_text(table())
    assert table() == TABLE.read_text(), "`make golden` writes it: look at the difference"


def test_where_no_version_is_known_the_values_are_those_of_the_baseline() -> None:
    for requirement in STANDARD.requirements:
        found = values_at(requirement.parameters, requirement.values, {})
        assert found == requirement.parameters


@pytest.mark.parametrize(
    ("version", "mode", "systems", "kernel"),
    [
        ((1, 34), "ipvs", ("CentOS Stream 8",), "4.18"),
        ((1, 35), "ipvs", ("CentOS Stream 9", "Debian GNU/Linux 12"), "5.8"),
        ((1, 42), "ipvs", ("CentOS Stream 9", "Debian GNU/Linux 12"), "5.8"),
        ((1, 43), "nftables", ("CentOS Stream 9", "Debian GNU/Linux 12"), "5.8"),
    ],
)
def test_what_ends_upstream_ends_here(
    version: Version, mode: str, systems: tuple[str, ...], kernel: str
) -> None:
    versions = {KUBERNETES: version}
    system = named("OS-RELEASE")
    found = values_at(system.parameters, system.values, versions)
    assert (found.accepted, found.kernel) == (systems, kernel)
    for name in ("CMP-KUBE-PROXY", "MOD-IP-VS"):  # the second shares the first one's
        proxy = named(name)
        assert values_at(proxy.parameters, proxy.values, versions).mode == mode
    assert held(named("MOD-IP-VS"), versions) == (mode == "ipvs")


def test_every_accepted_system_states_how_it_was_tested() -> None:
    system = named("OS-RELEASE")
    tested = {v.value: v.tested for v in system.values if v.parameter == "accepted"}
    assert set(system.parameters.accepted) <= set(tested)
    assert set(tested.values()) == set(HowTested)
    assert None not in tested.values()


def requirement_of(folder: Path, text: str) -> Requirement:
    (folder / "09-kernel.toml").write_text(f"{VALID}{text}")
    (found,) = loader.load_standard(folder).requirements
    return found


def test_a_requirement_of_a_system_concerns_no_other_system(tmp_path: Path) -> None:
    text = '[[SYS-X.versions]]\nof = "CentOS Stream"\nsince = "9"\nuntil = "10"\nsource = "x"\n'
    found = requirement_of(tmp_path, text)
    assert found.lifetimes == (Lifetime("CentOS Stream", since=(9,), until=(10,), source="x"),)
    assert held(found, {"Debian GNU/Linux": (12,), KUBERNETES: (1, 35)})
    assert held(found, {"CentOS Stream": (9,)})
    assert held(found, {"CentOS Stream": (9, 4)})
    with pytest.raises(NotApplicable, match=r"before CentOS Stream 10, and 10 is in use \(x\)"):
        require_held(found, {"CentOS Stream": (10,)})
    with pytest.raises(NotApplicable, match="from CentOS Stream 9 on"):
        require_held(found, {"CentOS Stream": (8,)})


def test_a_requirement_that_begins_does_not_hold_without_a_version(tmp_path: Path) -> None:
    found = requirement_of(tmp_path, '[[SYS-X.versions]]\nsince = "1.35"\nsource = "KEP-1"\n')
    with pytest.raises(
        NotApplicable, match=r"from Kubernetes 1.35 on \(KEP-1\), and the version is"
    ):
        require_held(found, {})
    with pytest.raises(NotApplicable, match=r"from Kubernetes 1.35 on, and 1.34 is in use"):
        require_held(found, {KUBERNETES: (1, 34)})
    require_held(found, {KUBERNETES: (1, 35)})


def test_a_requirement_that_only_ends_holds_without_a_version(tmp_path: Path) -> None:
    require_held(requirement_of(tmp_path, '[[SYS-X.versions]]\nuntil = "1.35"\nsource = "x"\n'), {})


# --- what the inventory asks for decides before anything runs ---


def test_the_planned_version_decides_before_anything_runs(tmp_path: Path) -> None:
    run = audit(inventory(tmp_path, "kubernetes_version=1.43.0"))
    assert case_of(run, "CMP-KUBE-PROXY").parameters.mode == "nftables"
    judged = run.judge(case_of(run, "MOD-IP-VS"))
    assert judged.result.verdict is Verdict.NOT_APPLICABLE
    assert judged.result.actual == (
        "required only before Kubernetes 1.43, and 1.43 is in use "
        "(KEP-5495: kube-proxy is without the mode ipvs from 1.43 on)"
    )


def test_an_override_of_the_site_outlives_the_baselines_value(tmp_path: Path) -> None:
    run = audit(
        inventory(tmp_path, "kubernetes_version=1.43.0", "hale_cmp_kube_proxy__mode=iptables")
    )
    case = case_of(run, "CMP-KUBE-PROXY")
    assert case.parameters.mode == "iptables"
    (override,) = case.overrides
    assert (override.standard, override.value) == ("nftables", "iptables")
    assert at_versions(case, {KUBERNETES: (1, 34)}).overrides[0].standard == "ipvs"


# --- then what runs decides ---


@pytest.mark.parametrize(
    ("programs", "version"),
    [
        ("kubelet running Kubernetes v1.44.0\ncgroup tmpfs\n", (1, 44)),
        ("kubelet running Kubernetes v1.34.4-rc.1+lab\ncgroup tmpfs\n", (1, 34)),
        # Not a node: the package is there, and what the inventory asks for will run.
        ("kubelet installed Kubernetes v1.44.0\ncgroup tmpfs\n", (1, 42)),
        ("kubelet installed Kubernetes v1.44.0\nnode\ncgroup tmpfs\n", (1, 44)),
        ("kubelet running sleep (GNU coreutils) 9.1\nnode\ncgroup tmpfs\n", (1, 42)),
        ("cgroup tmpfs\n", (1, 42)),
        ("", (1, 42)),
    ],
)
def test_what_runs_on_the_host_decides(tmp_path: Path, programs: str, version: Version) -> None:
    run = audit(inventory(tmp_path, "kubernetes_version=1.42.1"))
    answered(run, programs)
    case = case_of(run, "CMP-KUBE-PROXY")
    assert case.parameters.mode == "ipvs"
    assert run.versions(case) == {KUBERNETES: version, "CentOS Stream": (8,)}
    judged = run.judge(case).case
    assert judged.parameters.mode == ("nftables" if version >= (1, 43) else "ipvs")
    assert ("nftables" in judged.expected) == (version >= (1, 43))


def test_of_the_cluster_the_newest_kubelet_decides(tmp_path: Path) -> None:
    path = tmp_path / "inventory.ini"
    path.write_text(HOSTS.replace("w1\n", "w1\n[masters]\nm1\nm2\n"))
    run = audit(ini.load_inventory(path))
    for host, minor in (("m1", 35), ("m2", 36), ("w1", 37)):
        answered(run, f"kubelet running Kubernetes v1.{minor}.0\n", host)
    (case,) = (c for c in run.cases if c.requirement.id == "CMP-NODES")
    assert run.versions(case)[KUBERNETES] == (1, 36 if case.requirement.reads == "masters" else 37)


def test_a_host_that_does_not_answer_has_the_planned_version(tmp_path: Path) -> None:
    run = audit(inventory(tmp_path, "kubernetes_version=1.43.1"))
    run.hosts = {"w1": Evidence("w1", unreachable="w1: no route to host")}
    assert run.versions(case_of(run, "CMP-KUBE-PROXY")) == {KUBERNETES: (1, 43)}

"""Standards that somebody mistyped: standard/<name>.toml says in its first line what must be said.

And overrides: a `hale_<requirement>__<parameter>` of the inventory, right and wrong.
"""

from pathlib import Path
from typing import Any

import pytest

from hale.audit import cases as audit_cases
from hale.inventory import ini
from hale.inventory.ini import Inventory
from hale.model.errors import UserError
from hale.model.requirement import Guard
from hale.standard import loader

HERE = Path(__file__).parent / "standard"
ROOT = Path(__file__).parents[2]
CASES = sorted(p for p in HERE.glob("*.toml") if p.stem != "valid")
VALID = (HERE / "valid.toml").read_text()


@pytest.mark.parametrize("case", CASES, ids=lambda p: p.stem)
def test_malformed(case: Path, tmp_path: Path) -> None:
    text = case.read_bytes()
    wanted = text.decode().partition("\n")[0].removeprefix("# error: ")
    path = tmp_path / "09-kernel.toml"
    path.write_bytes(text)
    with pytest.raises(UserError) as error:
        loader.load_standard(tmp_path)
    message = str(error.value)
    assert message.startswith(f"{path}:")
    assert wanted in message
    if wanted.startswith(":"):
        assert message.startswith(f"{path}{wanted.partition(' ')[0]}")


def test_valid(tmp_path: Path) -> None:
    (tmp_path / "09-kernel.toml").write_text(VALID)
    (found,) = loader.load_standard(tmp_path).requirements
    assert (found.id, found.chapter, found.parameters.value) == ("SYS-X", 9, 1)
    assert str(found.where) == f"{tmp_path}/09-kernel.toml:5"


def test_the_documents_standard() -> None:
    stated = loader.load_standard(ROOT / "standard")
    ids = [r.id for r in stated.requirements]
    assert len(ids) == len(set(ids))
    assert {r.profile for r in stated.of_profile("baseline")} == {"baseline"}
    assert stated.of_profile("document") == stated.of_profile("baseline")
    assert stated.of_profile("extended") == stated.requirements
    for requirement in stated.requirements:
        assert requirement.where.line
        for aspect in requirement.aspects:
            test = ROOT / f"checks/test_{requirement.subject}.py"
            assert f"def test_{aspect}(" in test.read_text(), f"{requirement.id} {aspect}"


def test_what_guards_a_living_cluster_and_what_comes_before_an_install() -> None:
    stated = loader.load_standard(ROOT / "standard")
    for action in Guard:
        guards = {r.id for r in stated.guarding(action)}
        assert {"HA-APISERVER-VIP", "HA-ETCD-MEMBERS"} <= guards
        assert not guards & {r.id for r in stated.preflight}
    preflight = {r.id for r in stated.preflight}
    assert {"SWAP-OFF", "CLOCK-SKEW", "ID-MACHINE-ID", "LIM-ROOT-NOFILE"} <= preflight
    assert "SVC-KUBELET-NOFILE" not in preflight, "there is no such service yet"


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"chapter = 1\ntitle = 'caf\xe9'\n", r"x\.toml:2: the file is not UTF-8"),
        (b"\xef\xbb\xbfchapter = 1\n", r"x\.toml:1: no valid TOML"),
        (b"", r"x\.toml:1: `chapter = <number>` must stand first"),
        (b"\0" * 100, r"x\.toml:1: no valid TOML"),
        (b"chapter = 1\r\ntitle = 'x'\r\n[A-B]\r\n", r"x\.toml:3: A-B: missing the field"),
    ],
    ids=["latin1", "bom", "empty", "nul", "crlf"],
)
def test_bytes(tmp_path: Path, content: bytes, error: str) -> None:
    (tmp_path / "x.toml").write_bytes(content)
    with pytest.raises(UserError, match=error):
        loader.load_standard(tmp_path)


def test_no_folder_no_file_and_a_folder_in_its_place(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(UserError, match="no baseline here"):
            loader.load_standard(folder)
    (tmp_path / "x.toml").mkdir()
    with pytest.raises(UserError, match="cannot read the baseline: Is a directory"):
        loader.load_standard(tmp_path)


def test_a_requirement_in_two_files(tmp_path: Path) -> None:
    (tmp_path / "08-a.toml").write_text(VALID)
    (tmp_path / "09-b.toml").write_text(VALID)
    with pytest.raises(UserError, match=r"09-b.toml:5: SYS-X is already defined at .*08-a.toml:5"):
        loader.load_standard(tmp_path)


def test_the_digest_is_of_names_and_contents(tmp_path: Path) -> None:
    def digest(**files: str) -> str:
        for old in tmp_path.glob("*.toml"):
            old.unlink()
        for name, text in files.items():
            (tmp_path / f"{name}.toml").write_text(text)
        return loader.load_standard(tmp_path).sha256

    other = VALID.replace("SYS-X", "SYS-Y")
    found = {digest(a=VALID), digest(b=VALID), digest(a=VALID + "\n"), digest(a=VALID, b=other)}
    assert len(found) == 4
    assert digest(a=VALID) in found


# --- overrides ---

HOSTS = """\
[masters]
k8s-master-01
[workers]
k8s-node-01 {host}
k8s-node-02
[workers:vars]
{group}
[all:vars]
vip=192.0.2.1
vip_port=16443
vip_names=api.example
{site}
"""


def known(folder: Path, host: str = "", group: str = "", site: str = "") -> Inventory:
    path = folder / "inventory.ini"
    path.write_text(HOSTS.format(host=host, group=group, site=site))
    return ini.load_inventory(path)


def by_host(known: Inventory, requirement: str, parameter: str) -> dict[str, Any]:
    stated = loader.load_standard(ROOT / "standard")
    loader.check_overrides(stated, known)
    return {
        case.host_name: (
            getattr(case.parameters, parameter),
            [(o.standard, o.value, o.scope, o.where.line) for o in case.overrides],
        )
        for case in audit_cases.build_cases(known, stated, "extended", known.hosts)
        if case.requirement.id == requirement and case.aspect != "persisted"
    }


def test_overrides_of_site_group_and_host(tmp_path: Path) -> None:
    name = "hale_sys_ip_forward__value"
    site = known(tmp_path, f"{name}=3", f"{name}=2", f"{name}=4")
    assert by_host(site, "SYS-IP-FORWARD", "value") == {
        "k8s-master-01": (4, [(1, 4, "all", 12)]),
        "k8s-node-01": (3, [(1, 3, "k8s-node-01", 4)]),
        "k8s-node-02": (2, [(1, 2, "workers", 7)]),
    }


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("sys_ip_forward__value", "0x10", 16),
        ("sys_ip_forward__value", "0", 0),
        ("sys_ip_forward__value", '"2"  # quoted', 2),
        ("sys_ip_forward__key", "net.x", "net.x"),
        ("sys_ip_forward__key", "2024-01-01", "2024-01-01"),
        ("sys_ip_forward__key", "1", "1"),
        ("sys_ip_forward__same_as", "[]", ()),
        ("sys_ip_forward__same_as", '["a", "b"]', ("a", "b")),
        ("sys_ip_forward__same_as", "'[\"a\"]'", ("a",)),
    ],
)
def test_values(tmp_path: Path, name: str, text: str, value: object) -> None:
    parameter = name.partition("__")[2]
    found = by_host(known(tmp_path, site=f"hale_{name}={text}"), "SYS-IP-FORWARD", parameter)
    assert {v for v, _ in found.values()} == {value}


@pytest.mark.parametrize(
    ("host", "site", "error"),
    [
        (
            "",
            "hale_sys_ip_forward__value=one",
            ":12: SYS-IP-FORWARD: value = 'one': Expected `int`",
        ),
        ("", "hale_sys_ip_forward__value=", ":12: SYS-IP-FORWARD: value = ''"),
        ("", "hale_sys_ip_forward__value=true", ":12: SYS-IP-FORWARD: value = 'true'"),
        ("", "hale_sys_ip_forward__value=1.5", ":12: SYS-IP-FORWARD: value = '1.5'"),
        ("", "hale_sys_ip_forward__value=nan", ":12: SYS-IP-FORWARD: value = 'nan'"),
        ("", "hale_sys_ip_forward__same_as=[1]", ":12: SYS-IP-FORWARD: same_as = '[1]'"),
        ("", "hale_sys_ip_forward__same_as=a", ":12: SYS-IP-FORWARD: same_as = 'a'"),
        ("", "hale_sys_ip_forward__same_as=" + "[" * 5000, ":12: SYS-IP-FORWARD"),
        ("", "hale_sys_ip_foward__value=1", ":12: hale_sys_ip_foward__value overrides nothing"),
        ("", "hale_sys_ip_forward__valeu=1", "Did you mean hale_sys_ip_forward__value?"),
        ("", "hale_sys_ip_forward_value=1", "Did you mean hale_sys_ip_forward__value?"),
        ("", "HALE_sys_ip_forward__value=1", ""),
        ("hale_sys_ip_forward__value=x", "", ":4: SYS-IP-FORWARD: value = 'x'"),
        (
            "hale_nodes_odd_masters__accepted=[1]",
            "",
            ":4: NODES-ODD-MASTERS is judged once for the cluster",
        ),
    ],
)
def test_overrides_that_are_wrong(tmp_path: Path, host: str, site: str, error: str) -> None:
    if not error:  # a variable of somebody else's
        by_host(known(tmp_path, host, site=site), "SYS-IP-FORWARD", "value")
        return
    with pytest.raises(UserError) as raised:
        by_host(known(tmp_path, host, site=site), "SYS-IP-FORWARD", "value")
    assert str(raised.value).startswith(f"{tmp_path}/inventory.ini:")
    assert error in str(raised.value)


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "+nan"])
def test_no_limit_is_nan_or_infinite(tmp_path: Path, text: str) -> None:
    """Nothing is above nan: a skew of hours would pass."""
    with pytest.raises(UserError, match=r"inventory.ini:12: .*finite"):
        by_host(known(tmp_path, site=f"hale_clock_skew__tolerance_seconds={text}"), "", "")


def test_no_two_cases_are_equal() -> None:
    texts = [p.read_text() for p in CASES]
    assert len(texts) == len(set(texts))


# --- parameters that are another requirement's ---

OWNER = VALID.replace("[SYS-X", "[SYS-OTHER")


def shared(folder: Path, owner: str = "SYS-X", parameter: str = "value") -> loader.Standard:
    (folder / "09-kernel.toml").write_text(VALID)
    (folder / "extended-other.toml").write_text(
        f'{OWNER}\n[SYS-OTHER.shared]\n{parameter} = "{owner}"\n'
    )
    return loader.load_standard(folder)


def test_a_shared_parameter_has_the_overrides_of_its_owner(tmp_path: Path) -> None:
    stated = shared(tmp_path)
    inventory = known(tmp_path, site="hale_sys_x__value=2")
    loader.check_overrides(stated, inventory)
    for requirement in stated.requirements:
        parameters, (override,) = loader.parameters_of(requirement, inventory, inventory.hosts[0])
        assert (parameters.value, override.parameter) == (2, "value")
    with pytest.raises(UserError, match="hale_sys_other__value overrides nothing"):
        loader.check_overrides(stated, known(tmp_path, site="hale_sys_other__value=2"))


@pytest.mark.parametrize(("owner", "parameter"), [("SYS-Z", "value"), ("SYS-X", "nonsense")])
def test_a_parameter_is_shared_with_a_requirement_that_has_it(
    tmp_path: Path, owner: str, parameter: str
) -> None:
    with pytest.raises(UserError, match=f"{parameter} is not shared with {owner}"):
        shared(tmp_path, owner, parameter)


def test_a_shared_parameter_has_one_value(tmp_path: Path) -> None:
    (tmp_path / "09-kernel.toml").write_text(VALID.replace("value = 1", "value = 0"))
    (tmp_path / "extended-other.toml").write_text(f'{OWNER}\n[SYS-OTHER.shared]\nvalue = "SYS-X"\n')
    with pytest.raises(UserError, match="another value of it"):
        loader.load_standard(tmp_path)

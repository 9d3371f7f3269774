"""A saved plan of an install is carried out as it is, or not at all."""

import dataclasses
import json
import shlex
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, cast
from unittest.mock import Mock

import pytest
from invoke.program import Program

from hale.apply import cluster_lock, journal
from hale.apply.journal import RunState
from hale.files import provenance
from hale.install import (
    host_requirements,
    phase_run,
    plan_view,
    planning,
    preflight,
    saved_plan,
    workflow,
)
from hale.install.cluster_context import ClusterContext, load_context
from hale.install.engine import Engine, PhaseFailed
from hale.install.joined import InstallAborted
from hale.install.options import InstallOptions
from hale.install.phase import Batch, PhaseProblem, RunScript
from hale.install.planning import PhaseStatus
from hale.install.saved_plan import InstallPlan
from hale.install.secrets import Secret
from hale.inventory import ini
from hale.model.errors import UserError
from hale.model.results import Result
from hale.paths import ROOT
from hale.ssh import SessionPool
from hale.standard import loader
from tests.install import factories

HOSTS = ("m1", "m2", "m3", "w1", "w2")
BARE = Path(__file__).parent / "phases" / "packages" / "bare.toml"
STATUSES = [
    PhaseStatus(
        "packages", "P", (PhaseProblem("not there", "w1"),), (), ("w1: run packages",), content="1"
    ),
    PhaseStatus("workers", "W", (PhaseProblem("not joined", "w1"),), unknown="depends on packages"),
]


def planned(folder: Path, **options: Any) -> tuple[InstallPlan, ClusterContext]:
    site = factories.made(folder)
    given = InstallOptions(folder, site.inventory.path, **options)
    standard = loader.load_standard(ROOT / "standard")
    return saved_plan.build(given, site, standard, STATUSES), site


def again(folder: Path) -> ClusterContext:
    standard = loader.load_standard(ROOT / "standard")
    return load_context(ini.load_inventory(folder / "inventory.ini"), standard)


def test_a_plan_is_read_as_it_was_saved(tmp_path: Path) -> None:
    made, _ = planned(tmp_path, until="workers")
    path = tmp_path / "plan.json"
    saved_plan.save(made, path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert saved_plan.load(path) == saved_plan.load(path, made.sha256.upper()) == made
    assert made.until == "workers"
    with pytest.raises(UserError, match="not the plan that was approved"):
        saved_plan.load(path, "0" * 64)


@pytest.mark.parametrize(
    "alter",
    [
        lambda text: text.replace("w1: run packages", "w2: run packages"),
        lambda text: text.replace('"until": ""', '"until": "init"'),
        lambda text: text.replace("{", '{"more": 1,', 1),
    ],
)
def test_an_altered_plan_is_refused(tmp_path: Path, alter: Callable[[str], str]) -> None:
    made, _ = planned(tmp_path)
    path = tmp_path / "plan.json"
    saved_plan.save(made, path)
    text = path.read_text()
    path.write_text(alter(text))
    assert path.read_text() != text
    with pytest.raises(UserError, match=r"was altered since it was made.*Plan again"):
        saved_plan.load(path)


@pytest.mark.parametrize(
    "more",
    [b'"until":"init",', b'"x":1e400,', b'"x":' + b"9" * 5000 + b",", b'"x":"\xff",', b" ", b"\n"],
)
def test_a_file_that_save_would_not_write_is_refused(tmp_path: Path, more: bytes) -> None:
    """Its fields, and so its SHA-256, are those of the plan."""
    made, _ = planned(tmp_path)
    path = tmp_path / "plan.json"
    saved_plan.save(made, path)
    path.write_bytes(path.read_bytes().replace(b"{", b"{" + more, 1))
    with pytest.raises(UserError, match=r"altered since it was made, or .*Plan again") as error:
        saved_plan.load(path, made.sha256)
    assert str(error.value).startswith(f"{path}: ")


def test_other_files_refuse_the_plan(tmp_path: Path) -> None:
    made, site = planned(tmp_path)
    standard = loader.load_standard(ROOT / "standard")
    saved_plan.require_same_inputs(made, site, standard)
    for name in ("inventory.ini", "network.yaml", "key.asc"):
        path = tmp_path / name
        text = path.read_text()
        path.write_text(f"{text}# more\n")
        with pytest.raises(UserError, match=f"{name} has changed since the plan was made"):
            saved_plan.require_same_inputs(made, again(tmp_path), standard)
        path.write_text(text)
    saved_plan.require_same_inputs(made, again(tmp_path), standard)
    other = loader.Standard(standard.folder, standard.requirements, "0" * 64)
    with pytest.raises(UserError, match="the baseline has changed"):
        saved_plan.require_same_inputs(made, site, other)


def test_the_digests_are_those_of_what_was_read(tmp_path: Path) -> None:
    """Whoever alters a file while the hosts are read has it neither approved nor applied."""
    more = "kubeadm_extra=kubeadm.yaml\n"
    extra = "kind: KubeletConfiguration\nmaxPods: 200\n"
    site = factories.made(tmp_path, more, kubeadm_yaml=extra)
    standard = loader.load_standard(ROOT / "standard")
    options = InstallOptions(tmp_path, site.inventory.path)
    made = saved_plan.build(options, site, standard, STATUSES)
    for name in ("inventory.ini", "kubeadm.yaml"):
        text = (tmp_path / name).read_text()
        (tmp_path / name).write_text(f"{text}# more\n")
        assert saved_plan.build(options, site, standard, STATUSES).files == made.files
        late = saved_plan.build(options, site, standard, STATUSES)
        assert late.inventory_sha256 == made.inventory_sha256
        saved_plan.require_same_inputs(made, site, standard)
        with pytest.raises(UserError, match=f"{name} has changed since the plan was made"):
            saved_plan.require_same_inputs(made, again(tmp_path), standard)
        (tmp_path / name).write_text(text)


def test_other_program_files_refuse_the_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two trees of Hale have one version until the release."""
    made, site = planned(tmp_path)
    standard = loader.load_standard(ROOT / "standard")
    monkeypatch.setattr(provenance, "program_sha256", lambda: "0" * 64)
    with pytest.raises(UserError, match=r"Hale's program files? has changed since"):
        saved_plan.require_same_inputs(made, site, standard)


@pytest.mark.parametrize(
    "name",
    ["hale/x/a.py", "facts/a.sh", "remediate/cluster/a.j2", "remediate/a.in", "standard/a.toml"],
)
def test_the_digest_of_the_program_covers_its_files(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_text("1")
    first = provenance.program_sha256(tmp_path)
    assert first == provenance.program_sha256(tmp_path)
    path.write_text("2")
    second = provenance.program_sha256(tmp_path)
    moved = path.rename(path.with_stem("b"))
    (path.parent / "__pycache__").mkdir()
    (path.parent / "__pycache__" / "a.pyc").write_text("3")
    digests = {first, second, provenance.program_sha256(tmp_path)}
    assert len(digests) == 3
    (path.parent / "__pycache__" / "a.pyc").unlink()
    assert provenance.program_sha256(tmp_path) in digests
    moved.unlink()
    assert provenance.program_sha256(tmp_path) not in digests


def test_a_plans_content_has_standard_input_that_is_no_secret() -> None:
    def content(given: Secret | str | None) -> str:
        return planning._content([Batch((RunScript("m1", "pull", "cat", stdin=given),))])

    assert content("a") != content("b")
    assert content(Secret("a")) == content(Secret("b"))


def test_other_steps_refuse_the_plan(tmp_path: Path) -> None:
    made, _ = planned(tmp_path)
    saved_plan.require_same_steps(made, STATUSES)
    packages, workers = STATUSES
    for statuses, why in (
        ([workers], "packages: no phase of this run"),
        ([packages, workers, PhaseStatus("dns", "D")], "dns: the content of its steps"),
        ([packages, planning.PhaseStatus("workers", "W")], "workers: - w1: not joined"),
        (
            [PhaseStatus("packages", "P", packages.remaining, (), ("w2: run x",)), workers],
            r"packages: - w1: run packages\n  packages: \+ w2: run x",
        ),
        (
            [
                PhaseStatus("packages", "P", packages.remaining, (), packages.steps, content="2"),
                workers,
            ],
            "packages: the content of its steps",
        ),
    ):
        with pytest.raises(UserError, match=f"(?s)other steps remain than the plan has.*{why}"):
            saved_plan.require_same_steps(made, statuses)


def test_the_content_of_a_step_is_in_the_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same words, and another version of Kubernetes."""
    case = tomllib.loads(BARE.read_text())
    everywhere = case["outputs"].pop("*")
    observed = factories.observed({h: everywhere | case["outputs"].get(h, {}) for h in HOSTS}, {})
    monkeypatch.setattr(planning, "observe", lambda *_: [observed])

    def status(version: str = "1.34.4") -> PhaseStatus:
        text = factories.INVENTORY.replace("1.34.4", version)
        site = factories.made(tmp_path, complete=text)
        (found,) = planning.phase_statuses(site, SessionPool({}), ["packages"])
        return found

    other = status("1.34.5")
    assert status() == status()
    assert (status().steps, bool(status().content)) == (other.steps, True)
    assert status().content != other.content


def test_a_gate_that_is_not_open_is_none_of_the_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made, _ = planned(tmp_path)
    saved_plan.save(made, tmp_path / "plan.json")
    failed = preflight.PreflightResult(tmp_path, None, (), (), ())
    failed = dataclasses.replace(failed, fixable=(cast("Result", object()),))
    monkeypatch.setattr(preflight, "run_preflight", lambda *_: failed)
    monkeypatch.setattr(preflight, "render", lambda rows: ["SWAP-OFF"] if rows else [])
    monkeypatch.setattr(host_requirements, "unsupported", lambda *_: ())
    monkeypatch.setattr(workflow, "check_reachable", lambda _: None)
    monkeypatch.setattr(workflow, "joined_hosts", lambda *_: frozenset())
    monkeypatch.setattr(
        host_requirements, "confirm", lambda _: pytest.fail("the operator is asked")
    )
    approved = InstallOptions(tmp_path / "reports", apply=tmp_path / "plan.json", yes=True)
    assert not workflow.install_cluster(approved)
    assert "Nothing was changed: a saved plan" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--out=x"], "--out requires --plan"),
        (["--apply=x", "--until=init"], "--apply excludes"),
        (["--apply=x", "--fix"], "--apply excludes"),
        (["--apply=x", "--plan"], "--apply excludes"),
        (["--apply=x", "--sha256=abc"], "64 hexadecimal digits"),
        (["--sha256=" + "0" * 64], "--sha256 requires --apply"),
        (["--apply=/nowhere/plan.json"], "/nowhere/plan.json"),
        (["--apply="], "--apply has no value"),
        (["--apply", "", "--yes"], "--apply has no value"),
        (["-a", ""], "--apply has no value"),
        (["--plan", "--out", ""], "--out has no value"),
        (["--plan", "-o", ""], "--out has no value"),
        (["--apply=x", "-s", ""], "64 hexadecimal digits"),
        (["--until="], "--until has no value"),
        (["--phase", ""], "--phase has no value"),
    ],
)
def test_options_that_contradict_each_other(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    why: str,
) -> None:
    monkeypatch.setattr(workflow, "check_reachable", lambda _: pytest.fail("a host is contacted"))
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["invoke", "install", *words])
    with pytest.raises(SystemExit) as ended:
        Program().run()
    assert ended.value.code == 1
    assert why in capsys.readouterr().err


class Carried(Exception):
    """The locks are taken, and what remains is the plan: the phases begin."""


@pytest.fixture
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[PhaseStatus]:
    """What remains on hosts of which none has joined; change it."""
    statuses = list(STATUSES)

    def carry_out(*_: Any, **__: Any) -> None:
        raise Carried

    for module in (workflow, plan_view):
        monkeypatch.setattr(module, "check_reachable", lambda _: None)
        monkeypatch.setattr(module, "joined_hosts", lambda *_: frozenset())
    monkeypatch.setattr(phase_run, "joined_hosts", lambda *_: frozenset())
    for module in (phase_run, plan_view):
        monkeypatch.setattr(module, "exempt_phases", lambda *_: frozenset())
        monkeypatch.setattr(module, "phase_statuses", lambda *_, **__: statuses)
    monkeypatch.setattr(plan_view, "_print_gate", lambda *_: None)
    monkeypatch.setattr(workflow, "pass_gate", lambda *_: True)
    monkeypatch.setattr(cluster_lock, "locks_held", lambda *_, **__: nullcontext())
    monkeypatch.setattr(Engine, "carry_out", carry_out)
    return statuses


def test_it_is_carried_out_while_the_same_remains(
    tmp_path: Path, hosts: list[PhaseStatus], capsys: pytest.CaptureFixture[str]
) -> None:
    site = factories.made(tmp_path)
    out = tmp_path / "plan.json"
    signature = out.with_name("plan.json.sig")
    signature.write_text("of an earlier plan")
    plan_view.print_plan(InstallOptions(tmp_path, site.inventory.path, out=out))
    assert not signature.exists(), "planning again voids the approval"
    digest = json.loads(out.read_text())["sha256"]
    assert f"invoke install --apply {out} --sha256 {digest}" in capsys.readouterr().out
    approved = InstallOptions(tmp_path / "reports", apply=out, plan_sha256=digest)
    with pytest.raises(Carried):
        workflow.install_cluster(approved)
    (saved_page,) = tmp_path.glob("plan.html")
    (page,) = (tmp_path / "reports").glob("*-install/change.html")
    for found in (saved_page, page):
        assert digest in found.read_text()
    assert "whose SHA-256 was named for the run" in page.read_text()
    assert "IN PROGRESS" not in page.read_text(), "the run has ended since its first page"
    (kept,) = (tmp_path / "reports").glob("*-install/plan.json")
    assert kept.read_bytes() == out.read_bytes()
    assert journal.load_run(kept.parent).header.plan_sha256 == digest
    hosts.pop()
    with pytest.raises(UserError, match="workers: no phase of this run"):
        workflow.install_cluster(approved)


def test_what_has_changed_by_the_time_of_the_lock_refuses_the_plan(
    tmp_path: Path, hosts: list[PhaseStatus], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as by the run that the lock was held by."""
    made, _ = planned(tmp_path)
    saved_plan.save(made, tmp_path / "plan.json")

    @contextmanager
    def late(*_: Any, **__: Any) -> Iterator[None]:
        hosts.pop()
        yield

    monkeypatch.setattr(cluster_lock, "locks_held", late)
    with pytest.raises(UserError, match="workers: no phase of this run"):
        workflow.install_cluster(InstallOptions(tmp_path / "reports", apply=tmp_path / "plan.json"))
    (kept,) = (tmp_path / "reports").glob("*-install")
    assert journal.load_run(kept).state is RunState.FAILED


def test_a_phase_that_is_run_again_is_planned_and_compared_as_such(
    tmp_path: Path, hosts: list[PhaseStatus], monkeypatch: pytest.MonkeyPatch
) -> None:
    flags: list[bool] = []

    def statuses(*_: Any, again: bool = False) -> list[PhaseStatus]:
        flags.append(again)
        return hosts

    for module in (phase_run, plan_view):
        monkeypatch.setattr(module, "phase_statuses", statuses)
    monkeypatch.setattr(phase_run, "_require_dependencies", lambda *_, **__: None)
    site = factories.made(tmp_path)
    out = tmp_path / "plan.json"
    plan_view.print_plan(InstallOptions(tmp_path, site.inventory.path, phase="images", out=out))
    with pytest.raises(Carried):
        workflow.install_cluster(InstallOptions(tmp_path / "reports", apply=out))
    assert flags == [True, True, True]


INVOKE = ".venv/bin/invoke install"


def test_a_run_is_resumed_with_its_scope(tmp_path: Path) -> None:
    given = InstallOptions(tmp_path, Path("a b.ini"), until="init", yes=True, ticket="T-1")
    command = f"{INVOKE} --inventory 'a b.ini' --until init --yes --ticket T-1"
    assert given.resume_advice == f"A new run resumes from here:\n    {command}"
    given = InstallOptions(tmp_path, phase="images", drain=False)
    assert given.resume_advice.endswith(f"    {INVOKE} --phase images --no-drain")


@pytest.mark.parametrize("stopped", [False, True])
def test_a_plan_that_was_not_completed_is_planned_and_approved_again(
    tmp_path: Path,
    hosts: list[PhaseStatus],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    stopped: bool,
) -> None:
    def carry_out(*_: Any, **__: Any) -> None:
        raise InstallAborted if stopped else PhaseFailed("init", "no")

    monkeypatch.setattr(Engine, "carry_out", carry_out)
    made, site = planned(tmp_path, until="init", ignore_preflight_errors=("SWAP-OFF",))
    out = tmp_path / "plan.json"
    saved_plan.save(made, out)
    approved = InstallOptions(
        tmp_path / "reports", apply=out, plan_sha256=made.sha256, yes=True, approved_by="me"
    )
    if stopped:
        with pytest.raises(KeyboardInterrupt):
            workflow.install_cluster(approved)
    else:
        assert not workflow.install_cluster(approved)
    shown = capsys.readouterr().out
    assert (
        f"""What remains needs a new plan and its approval:
    {INVOKE} --inventory {site.inventory.path} --ignore-preflight-errors SWAP-OFF --until init \
--plan --out FILE
    {INVOKE} --apply FILE --sha256 DIGEST --yes
"""
        in shown
    )
    assert "resumes from here" not in shown


def test_a_gate_without_a_remedy_names_no_option_that_apply_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made, _ = planned(tmp_path)
    saved_plan.save(made, tmp_path / "plan.json")
    failed = preflight.PreflightResult(tmp_path, None, (), (), ())
    failed = dataclasses.replace(failed, blocking=(cast("Result", Mock(requirement="SWAP-OFF")),))
    monkeypatch.setattr(preflight, "run_preflight", lambda *_: failed)
    monkeypatch.setattr(preflight, "render", lambda rows: ["SWAP-OFF"] if rows else [])
    monkeypatch.setattr(host_requirements, "unsupported", lambda *_: ())
    monkeypatch.setattr(workflow, "check_reachable", lambda _: None)
    monkeypatch.setattr(workflow, "joined_hosts", lambda *_: frozenset())
    for given, named in (
        (InstallOptions(tmp_path / "reports", apply=tmp_path / "plan.json"), False),
        (InstallOptions(tmp_path / "reports", tmp_path / "inventory.ini"), True),
    ):
        assert not workflow.install_cluster(given)
        shown = capsys.readouterr().out
        assert ("--ignore-preflight-errors" in shown) == named
        assert ("when you plan the install again" in shown) != named


def test_what_a_phase_needs_is_planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = factories.made(tmp_path)
    engine = Engine(site, SessionPool({}), cast("Any", None))
    monkeypatch.setattr(phase_run, "phase_statuses", lambda *_: STATUSES[:1])
    with pytest.raises(UserError, match=r"Use --until images\."):
        phase_run._require_dependencies(engine, "images", planned=False)
    with pytest.raises(UserError, match=r"Plan again, with --until images\."):
        phase_run._require_dependencies(engine, "images", planned=True)


@pytest.mark.parametrize("name", ["plan[prod].json", "x[/b].json", "a b.json", "$(id).json"])
def test_the_command_for_the_approval_names_the_file(
    tmp_path: Path, hosts: list[PhaseStatus], capsys: pytest.CaptureFixture[str], name: str
) -> None:
    folder = tmp_path / "[bold]"
    folder.mkdir()
    site = factories.made(folder)
    out = tmp_path / name
    out.parent.mkdir(exist_ok=True)
    plan_view.print_plan(InstallOptions(folder, site.inventory.path, out=out))
    (command,) = [w for w in capsys.readouterr().out.splitlines() if "--apply" in w]
    assert shlex.split(command)[3] == str(out)
    with pytest.raises(Carried):
        workflow.install_cluster(InstallOptions(folder, apply=out))
    assert f"site inventory {site.inventory.path}\n" in capsys.readouterr().out

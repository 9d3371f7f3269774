"""No shell is reached by data: 30 payloads in all that an operator, a site or a host can write.

Each is refused, or used as one argument. Where a script has it, that script runs in a sandbox, and
the payload must not.
"""

import subprocess
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
import testinfra

from hale.apply.executor import StepExecutor
from hale.apply.prepared import PreparedStep, StepFailed
from hale.audit.cases import build_cases
from hale.gather.request import build_request, request_script
from hale.install import scheduler
from hale.install.cluster_context import ClusterContext
from hale.install.executor import InstallStepExecutor
from hale.install.phase import RunScript, WriteFile
from hale.install.secrets import Secrets
from hale.inventory import cluster_spec, ini
from hale.inventory.selection import select_hosts
from hale.model.change import (
    Action,
    AppendLine,
    FileEdit,
    KernelValueChange,
    ModuleChange,
    RestoreFile,
    SwapOff,
    SwapOn,
    SymlinkChange,
    UnitAction,
    UnitChange,
)
from hale.model.errors import UserError
from hale.model.evidence import CommandProbe, FileProbe, Unreadable
from hale.model.requirement import Case, Requirement, Role
from hale.paths import ROOT
from hale.plan import plan
from hale.plan.plan import Step
from hale.ssh.client import ssh_argv
from hale.ssh.inventory_targets import LoginOptions, target_of, targets_of
from hale.ssh.remote.files import FileUnreadable, read_files
from hale.ssh.remote_shell import login_command
from hale.ssh.target import CommandResult, RemoteError, Target
from hale.standard import loader, subjects
from tests.hostile.payloads import MARK, PAYLOADS, Sandbox
from tests.install import factories
from tests.install.test_phases import CASES as PHASES
from tests.install.test_phases import digests

VARIABLES = [
    "ansible_host",
    "ansible_user",
    "ansible_port",
    "ansible_ssh_private_key_file",
    "ansible_become_user",
    "ansible_become",
    "ansible_become_method",
    "ansible_connection",
    "ansible_host_key_checking",
    "endpoint_kind",
    "etcd_kind",
    "limits_user",
    "vip",
    "vip_port",
    "vip_names",
    "hale_environment",
    "hale_site",
    "hale_purpose",
    "hale_approvals",
]
REFUSED = ("ansible_user", "ansible_become_user", "ansible_host", "vip", "ansible_port")
STANDARD = loader.load_standard(ROOT / "standard")


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox() as made:
        yield made


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> ini.Inventory:
    return inventory(tmp_path_factory.mktemp("site"), {})


def inventory(
    folder: Path, more: Mapping[str, str], host: str = "m1", group: str = "masters"
) -> ini.Inventory:
    """With these variables, those of connections at the host. Raises UserError."""
    variables = {
        "ansible_host": "192.0.2.1",
        "ansible_become": "true",
        "vip": "192.0.2.9",
        "vip_port": "6443",
        "vip_names": "vip.example",
        **more,
    }
    quoted = {k: "'" + v.replace("'", "'\\''") + "'" for k, v in variables.items()}
    own = " ".join(f"{k}={v}" for k, v in quoted.items() if k.startswith("ansible_"))
    rest = "\n".join(f"{k}={v}" for k, v in quoted.items() if not k.startswith("ansible_"))
    path = folder / "inventory.ini"
    path.write_text(f"[{group}]\n{host} {own}\n[all:vars]\n{rest}\n")
    return ini.load_inventory(path)


def assert_one_argument(target: Target) -> None:
    """No word of ssh's is an option because of a payload."""
    words = ssh_argv(target, "0" * 16, "log")
    assert words[-3] == "--"
    values = ("-F", "-l", "-p", "-i")  # whose next word is a value, whatever it begins with
    assert not any(
        word.startswith("-") and MARK in word and before not in values
        for before, word in pairwise(words)
    )


def probes_with_mark(cases: Iterable[Case[Any]], known: ini.Inventory) -> list[str]:
    """The scripts of probes that have a payload, and the one that reads files, if a name has."""
    request = build_request(known.hosts[0], list(cases))
    scripts = [probe.script for _, probe in request.commands if MARK in probe.script]
    patterns = [pattern for pattern in request.patterns if MARK in pattern]
    if patterns:
        files = msgspec.structs.replace(request, commands=(), patterns=tuple(patterns))
        scripts.append(request_script(files, "token"))
    return scripts


def test_there_are_30_payloads_that_run(box: Sandbox) -> None:
    """Each of them, formatted into one of these scripts, leaves its mark."""
    assert len(set(PAYLOADS)) == 30
    forms = ["echo @", "echo '@'", 'echo "@"', "(echo @ :)", "echo ${a:-@}", "eval echo @", "@"]
    forms += ["echo \\'@", "echo '@", 'echo "@']
    silent = []
    for payload in PAYLOADS:
        for form in forms:
            box.run(form.replace("@", payload), shell="bash")
            if not box.holds():
                break
        else:
            silent.append(payload)
        (box.work / MARK).unlink(missing_ok=True)
    # These are for ssh, for a shell with a history, and for a file whose lines end with CR LF.
    assert silent == [p for p in PAYLOADS if p.startswith(("-oProxy", "!", "x\r"))]


@pytest.mark.parametrize("shell", ["sh", "bash"])
@pytest.mark.parametrize("payload", PAYLOADS)
def test_the_login_command_has_names_as_arguments(payload: str, shell: str, tmp_path: Path) -> None:
    """Without the check of the inventory, too: whoever makes a Target."""
    (tmp_path / "sudo").write_text('#!/bin/sh\nprintf "%s\\0" "$@" >>sudo-arguments\n')
    (tmp_path / "sudo").chmod(0o755)
    for password in (None, "secret"):
        target = Target("host", become=True, become_user=payload, become_password=password)
        subprocess.run(
            [shell, "-c", login_command(target, "0" * 16)],
            cwd=tmp_path,
            env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=False,
            timeout=60,
        )
    assert payload.encode() in (tmp_path / "sudo-arguments").read_bytes().split(b"\0")
    assert not (tmp_path / MARK).exists()
    assert {path.name for path in tmp_path.iterdir()} == {"sudo", "sudo-arguments"}


@pytest.mark.parametrize("name", VARIABLES)
def test_variables_of_the_inventory(name: str, tmp_path: Path, box: Sandbox) -> None:
    held: list[str] = []
    for payload in PAYLOADS:
        try:
            made = inventory(tmp_path, {name: payload})
            target = targets_of(made, LoginOptions())["m1"]
            cases = build_cases(made, STANDARD, "extended", made.hosts)
            scripts = probes_with_mark(cases, made)
        except UserError:
            continue
        held.append(payload)
        assert_one_argument(target)
        for script in (login_command(target, "0" * 16), *scripts):
            box.run(script)
        assert box.holds(), payload
    if name in REFUSED:
        assert held == []


@pytest.mark.parametrize("what", ["host", "group"])
def test_names_of_hosts_and_groups(what: str, tmp_path: Path, box: Sandbox) -> None:
    for payload in PAYLOADS:
        try:
            made = inventory(tmp_path, {}, **{what: payload})
            target = next(iter(targets_of(made, LoginOptions()).values()))
            scripts = probes_with_mark(build_cases(made, STANDARD, "extended", made.hosts), made)
        except UserError:
            continue
        assert_one_argument(target)
        for script in (login_command(target, "0" * 16), *scripts):
            box.run(script)
        assert box.holds(), payload


@pytest.mark.parametrize("option", ["ssh_config", "identity_file", "become_user"])
def test_options_of_the_command_line(option: str, known: ini.Inventory, box: Sandbox) -> None:
    for payload in PAYLOADS:
        given: dict[str, Any] = {option: payload}
        try:
            target = target_of(known.hosts[0], become=True, connect_timeout=1, **given)
        except UserError:
            assert option == "become_user"
            continue
        assert_one_argument(target)
        assert payload in ssh_argv(target, "0" * 16, "log")
        box.run(login_command(target, "0" * 16))
        assert box.holds(), payload


@pytest.mark.parametrize("payload", PAYLOADS)
def test_hosts_of_the_command_line(
    payload: str, known: ini.Inventory, box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--hosts: a name is looked up, and a URI is testinfra's, whose shell has it as an argument."""
    for words in (payload, f"m1,!{payload}", f"!{payload}"):
        with pytest.raises(UserError):
            select_hosts(words, known, lambda uri: ())
    monkeypatch.setenv("PATH", f"{box.folder}/bin", prepend=":")
    monkeypatch.chdir(box.work)
    for uri, options in (
        (f"ssh://{payload.replace('/', '')}", {}),
        ("ssh://h", {"ssh_config": payload}),
        ("ssh://h", {"ssh_identity_file": payload}),
    ):
        try:
            host = testinfra.get_host(uri, **options)
        except ValueError:
            continue  # urllib's: it is no URI
        host.run("true")
        assert box.holds(), uri


def parameters() -> list[tuple[str, str]]:
    """The parameters that can have a text, each of the first requirement of its subject."""
    found = []
    first = {r.subject: r for r in reversed(STANDARD.requirements)}
    for requirement in first.values():
        for name in requirement.parameters.__struct_fields__:
            kind = subjects.parameter_type(requirement.subject, name)
            for value in ("a", ["a"]):
                try:
                    msgspec.convert(value, kind)
                except msgspec.ValidationError:
                    continue
                found.append((requirement.id, name))
                break
    return found


def with_parameter(requirement: Requirement, name: str, text: str) -> Requirement:
    kind = subjects.parameter_type(requirement.subject, name)
    try:
        value = msgspec.convert(text, kind)
    except msgspec.ValidationError:
        value = msgspec.convert([text], kind)
    changed = msgspec.structs.replace(requirement.parameters, **{name: value})
    return msgspec.structs.replace(requirement, parameters=changed)


def test_parameters_that_can_have_a_text() -> None:
    assert len(parameters()) > 15


@pytest.mark.parametrize(("requirement", "name"), parameters(), ids=str)
def test_values_of_the_standard_and_overrides(
    requirement: str, name: str, known: ini.Inventory, box: Sandbox
) -> None:
    """An override is a value of the same type (hale_<requirement>__<parameter>)."""
    stated = next(r for r in STANDARD.requirements if r.id == requirement)
    host = None if stated.role is Role.CLUSTER else known.hosts[0]
    for payload in PAYLOADS:
        changed = with_parameter(stated, name, payload)
        cases = [
            Case(changed, aspect, host, changed.parameters, (), known) for aspect in changed.aspects
        ]
        try:
            scripts = probes_with_mark(cases, known)
        except (UserError, Unreadable):
            continue
        for script in scripts:
            box.run(script)
        assert box.holds(), payload


# --- the variables of an install ---


def scripts_of(site: ClusterContext) -> Iterator[str]:
    """Of all phases, in all states that tests/install has: probes and steps."""
    for case in PHASES:
        given = tomllib.loads(case.read_text())
        if "inventory" in given or "extra" in given or "part" in given:
            continue
        phase = scheduler.load_phase(case.parent.name)
        for host in site.inventory.hosts:
            for probes in (phase.probes(site, host), phase.preflight_probes(site, host)):
                for probe in (p for found in probes.values() for p in found):
                    if isinstance(probe, CommandProbe):
                        yield probe.script
                    else:
                        assert isinstance(probe, FileProbe)
        everywhere = given["outputs"].pop("*", {})
        outputs = {
            h.name: everywhere | given["outputs"].get(h.name, {}) for h in site.inventory.hosts
        }
        module = __import__(type(phase).__module__, fromlist=["_"])
        try:
            digests(outputs, module, site, given.get("files", {}))
            found = factories.observed(outputs, given.get("files", {}))
            batches = [*phase.prepare(site, found), *phase.batches(site, found)]
        except (UserError, Unreadable):
            continue
        for step in (step for batch in batches for step in batch.steps):
            yield from step_scripts(step)


def step_scripts(step: Any) -> list[str]:
    """What the executor sends for it."""
    session = Recording()
    try:
        InstallStepExecutor(session, Secrets()).execute(step, lambda line: None)  # type: ignore[arg-type]
    except Exception:  # the session answers nothing that it could use
        assert session.sent
    return session.sent


class Recording:
    """A session whose host answers nothing; `sent` has what came."""

    def __init__(self, box: Sandbox | None = None) -> None:
        self.target = Target("here")
        self.sent: list[str] = []
        self._box = box

    def run(self, command: str, *args: Any, stdin: bytes = b"", **kwargs: Any) -> CommandResult:
        self.sent.append(command)
        if self._box is not None:
            self._box.run(command, stdin=stdin)
        return CommandResult(0, b"", b"", 0.0)


def install_variables() -> list[str]:
    return [*cluster_spec.VARIABLES, "vip", "vip_names", "vip_port", "ansible_host"]


@pytest.mark.parametrize("name", install_variables())
def test_variables_of_an_install(name: str, tmp_path: Path, box: Sandbox) -> None:
    used = 0
    for payload in PAYLOADS:
        quoted = "'" + payload.replace("'", "'\\''") + "'"
        for text in (quoted, payload):  # the second form where the inventory has no quotes
            line = f"\n[all:vars]\n{name}={text}\n" if "\n" not in text else ""
            if not line:
                continue
            lines = [
                word for word in factories.INVENTORY.split("\n") if not word.startswith(f"{name}=")
            ]
            try:
                site = factories.made(tmp_path, line, complete="\n".join(lines))
            except (UserError, ValueError):
                continue
            used += 1
            for script in {s for s in scripts_of(site) if MARK in s}:
                box.run(script)
            assert box.holds(), payload
    if name in ("kubernetes_version", "pod_cidr", "service_cidr", "vrrp_id", "vip_port"):
        assert used == 0


# --- what a host names ---

CHANGES: Mapping[str, Any] = {
    "edit": lambda p: FileEdit(f"/etc/sysctl.d/{p}.conf", (AppendLine("a"),), "why"),
    "line": lambda p: FileEdit("/etc/sysctl.d/a.conf", (AppendLine(p),), "why"),
    "link": lambda p: SymlinkChange(f"/etc/{p}", "/dev/null", None, "why"),
    "link's target": lambda p: SymlinkChange("/etc/x", p, None, "why"),
    "folders": lambda p: SymlinkChange("/etc/x", "/y", None, "why", (), (f"/etc/{p}",)),
    "unit": lambda p: UnitChange(p, UnitAction.STOP, "active", "enabled", "why"),
    "unit's state": lambda p: UnitChange("x.service", UnitAction.START, p, p, "why"),
    "module": lambda p: ModuleChange(p, "why"),
    "value": lambda p: KernelValueChange("/proc/sys/x", "0", p, "why"),
    "value's path": lambda p: KernelValueChange(f"/proc/sys/{p}", "0", "1", "why"),
    "value after it": lambda p: KernelValueChange(
        "/proc/sys/x", "0", "1", "why", write_after=((f"/proc/sys/{p}", p),)
    ),
    "kept values": lambda p: KernelValueChange(
        "/proc/sys/x", "0", "1", "why", preserve=(f"/proc/{p}",), cascades_to=(f"/proc/{p}",)
    ),
    "swap off": lambda p: SwapOff(f"/dev/{p}", 0, "why"),
    "swap on": lambda p: SwapOn(f"/dev/{p}", 0, "why"),
    "restore": lambda p: RestoreFile(f"/etc/{p}", f"/var/lib/hale/{p}", "a", "b", "why"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_paths_and_names_of_a_change(kind: str, box: Sandbox) -> None:
    """Without the check of a plan, too: backup, change and recovery of each kind."""
    sent = 0
    for payload in PAYLOADS:
        change: Action = CHANGES[kind](payload)
        session: Any = Recording(box)
        executor = StepExecutor(session, "run")
        step = Step(("X",), change, plan.sha256(b""), "")
        with suppress(RemoteError, StepFailed):
            executor.prepare({1: step})
        prepared = PreparedStep(step, "/nowhere", "", ())
        for make in (executor.apply, executor.recover):
            with suppress(Exception):  # the session answers nothing that it could use
                make(prepared)
        sent += len(session.sent)
        assert box.holds(), payload
    assert sent >= len(PAYLOADS)


def test_names_of_files_that_are_read(box: Sandbox) -> None:
    for payload in PAYLOADS:
        session: Any = Recording(box)
        with pytest.raises(FileUnreadable):
            read_files(session, [f"/etc/{payload}"])
        assert session.sent
        assert box.holds(), payload


def test_a_written_file_of_an_install(box: Sandbox) -> None:
    for payload in PAYLOADS:
        for step in (
            WriteFile("h", payload, f"/etc/{payload}", payload),
            RunScript("h", payload, "true"),
        ):
            for script in step_scripts(step):
                box.run(script, stdin=payload.encode())
        assert box.holds(), payload

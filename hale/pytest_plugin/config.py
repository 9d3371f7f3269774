"""Builds the audit that pytest's options (hale/pytest_plugin/options.py) describe."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import testinfra
from msgspec import Struct

from hale.audit import evidence_file
from hale.audit.accepted import Accepted, load_accepted
from hale.audit.audit import Audit, hosts_in_evidence
from hale.audit.judge import BrokenCheck, require_checks
from hale.audit.waivers import load_waivers
from hale.files import provenance
from hale.gather import Transport, transports
from hale.gather.bounded import limit_output
from hale.inventory import ini
from hale.inventory.ini import Inventory
from hale.inventory.selection import SelectedHost, select_hosts
from hale.model.errors import UserError
from hale.paths import ROOT
from hale.pytest_plugin.sessions import SESSIONS, adopt, register_backend
from hale.ssh import SessionPool, Target, inventory_targets
from hale.standard import loader

# Without these an audit judges no row, records none, or does not count what failed.
NEEDED_PLUGINS = (
    "funcmanage",
    "hale-controller",
    "hale-reports",
    "hale-subjects",
    "python",
    "session",
)
NO_HOSTS_HINT = """\
no host is contacted without --hosts. Type for example
    pytest --hosts=all                  every host of {inventory}
    pytest --hosts='masters,!{host}'    groups, hosts, globs, and `!` to leave out
    pytest --hosts=local://             this machine
Groups: {groups}."""


def usage_hint(config: pytest.Config) -> str:
    """The message for a command line that names no hosts."""
    path = Path(config.option.inventory or ROOT / "inventory.ini")
    try:
        inventory = ini.load_inventory(path)
    except UserError as error:
        return str(error)
    groups = ", ".join(f"{name} ({len(members)})" for name, members in inventory.groups.items())
    host = inventory.hosts[0].name if inventory.hosts else "HOST"
    return NO_HOSTS_HINT.format(inventory=path, host=host, groups=groups)


def require_plugins(config: pytest.Config) -> None:
    """Raises UserError where a plugin that an audit needs is off, or one that bends it is on."""
    if not hasattr(config.option, "hosts"):
        raise UserError(
            "testinfra's plugin is not loaded: run without PYTEST_DISABLE_PLUGIN_AUTOLOAD and "
            "without `-p no:` of it."
        )
    if getattr(config.option, "reruns", None):
        raise UserError("--reruns: a row is judged once, and tries again would count as failures.")
    for name in filter(config.pluginmanager.is_blocked, NEEDED_PLUGINS):
        raise UserError(f"-p no:{name}: an audit needs it; leave the option out.")


class AuditConfig(Struct, frozen=True):
    """The resolved options of an audit.

    sessions: to the selected hosts, except those of a testinfra URI. saved: the evidence of an
    earlier run (`--evidence`), if given. accepted: what `--drift` compares with.
    """

    inventory: Inventory
    selected_hosts: tuple[SelectedHost, ...]
    sessions: SessionPool
    saved: evidence_file.EvidenceFile | None
    accepted: Accepted | None = None


def resolve_config(config: pytest.Config, worker: dict[str, Any] | None) -> AuditConfig:
    """Resolve --hosts, --inventory and --evidence, and adopt the session pool.

    worker: xdist's `workerinput`; None in pytest's own process. Rewrites option.hosts to URIs for
    testinfra. Raises UserError for an invalid inventory, host pattern or evidence, and for a host
    that the evidence does not have.
    """
    option = config.option
    saved = evidence_file.load_evidence(Path(option.evidence)) if option.evidence else None
    path = option.inventory or (saved.inventory if saved else ROOT / "inventory.ini")
    inventory = ini.load_inventory(Path(path))
    accepted = load_accepted(inventory.path) if option.drift and worker is None else None
    # xdist passes workers the current options, in which hosts are already rewritten.
    hosts_option = getattr(option, "hale_hosts", option.hosts)
    option.hale_hosts = hosts_option
    register_backend()
    selected = () if saved is None else hosts_in_evidence(saved, inventory)
    if hosts_option is not None:
        wanted = select_hosts(
            hosts_option, inventory, lambda uri: expand_testinfra_uri(uri, option)
        )
        if saved is not None:
            missing = [c.host.name for c in wanted if c.host.name not in saved.hosts]
            if missing:
                raise UserError(f"{option.evidence} has no evidence of {', '.join(missing)}.")
        selected = wanted
    sessions = _sessions(config, _targets(selected, option, worker))
    option.hosts = ",".join(c.uri or f"hale://{c.host.name}" for c in selected)
    return AuditConfig(inventory, selected, sessions, saved, accepted)


def build_audit(config: pytest.Config, resolved: AuditConfig, standard: loader.Standard) -> Audit:
    """The audit of these hosts. Raises UserError for an invalid override or baseline."""
    option = config.option
    loader.check_overrides(standard, resolved.inventory)
    with contextlib.suppress(BrokenCheck):  # pytest's collection shows where
        require_checks(standard)
    found = Audit(
        resolved.inventory,
        standard,
        option.profile,
        resolved.selected_hosts,
        lambda one: _transport(one, resolved.sessions, option),
        option.gather_timeout,
        load_waivers(resolved.inventory, standard),
    )
    if resolved.saved is not None:
        found.hosts = resolved.saved.hosts
        if resolved.saved.inventory_sha256 != provenance.sha256(resolved.inventory.path):
            found.evidence_of = resolved.saved.inventory
    return found


def _sessions(config: pytest.Config, targets: Mapping[str, Target]) -> SessionPool:
    """The run's pool: the one whose logins the fast start has begun, if it is to the same targets.

    It is not if a plugin has changed options since.
    """
    early = config.stash.get(SESSIONS, None)
    if early is not None:
        if all(early.targets.get(name) == target for name, target in targets.items()):
            return early
        early.close()
    sessions = SessionPool(targets)
    adopt(config, sessions)
    return sessions


def _targets(
    selected: Sequence[SelectedHost], option: Any, worker: dict[str, Any] | None
) -> dict[str, Target]:
    password = worker["hale_become_password"] if worker else None
    if worker is None and option.ask_become_pass:
        password = inventory_targets.ask_become_password()
    return inventory_targets.targets_for_options(selected, option, password)


def _testinfra_hosts(uri: str, option: Any) -> list[Any]:
    """The testinfra hosts of a URI. Raises UserError.

    The arguments are those of testinfra's own plugin, so both share the host objects.
    """
    try:
        limit_output()
        return testinfra.get_hosts(
            [uri],
            connection=option.connection,
            ssh_config=option.ssh_config,
            ssh_identity_file=option.ssh_identity_file,
            sudo=option.sudo,
            sudo_user=option.sudo_user,
            ansible_inventory=option.ansible_inventory,
            force_ansible=option.force_ansible,
        )
    except Exception as error:  # of testinfra, or of what a backend imports and runs
        raise UserError(f"--hosts={uri}: {error}") from None


def expand_testinfra_uri(uri: str, option: Any) -> list[tuple[str, str]]:
    """The (name, testinfra ID) of each host of a URI. Raises UserError."""
    return [host_names(host) for host in _testinfra_hosts(uri, option)]


def host_names(host: Any) -> tuple[str, str]:
    """A testinfra host's name, and its testinfra ID, such as ssh://web1."""
    identity: str = host.backend.get_pytest_id()
    name: str | None = getattr(getattr(host.backend, "host", None), "name", None)
    return name or identity.partition("://")[2], identity


def _transport(selected: SelectedHost, sessions: SessionPool, option: Any) -> Transport:
    if not selected.uri:
        return transports.over_ssh(sessions)(selected)
    for host in _testinfra_hosts(selected.uri, option):
        if selected.host.name in host_names(host):
            return transports.TestinfraTransport(host)
    raise UserError(f"{selected.uri}: {selected.host.name} does not exist.")

"""From pytest's options (hale/pytest_plugin/options.py) to the audit that they ask for."""

import contextlib
import getpass
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import testinfra
from msgspec import Struct

from hale import ssh
from hale.audit import evidence_file
from hale.audit.audit import Audit, hosts_in_evidence
from hale.audit.judge import BrokenCheck, require_checks
from hale.files import provenance
from hale.gather import Transport, transports
from hale.inventory import ini
from hale.inventory.ini import Inventory
from hale.inventory.selection import SelectedHost, select_hosts
from hale.model.errors import UserError
from hale.paths import ROOT
from hale.ssh import preconnect
from hale.standard import loader

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
        known = ini.load_inventory(path)
    except UserError as error:
        return str(error)
    groups = ", ".join(f"{name} ({len(members)})" for name, members in known.groups.items())
    host = known.hosts[0].name if known.hosts else "HOST"
    return NO_HOSTS_HINT.format(inventory=path, host=host, groups=groups)


class AuditConfig(Struct, frozen=True):
    """The hosts that were asked for, and what came of an earlier run with `--evidence`."""

    inventory: Inventory
    selected_hosts: tuple[SelectedHost, ...]
    targets: Mapping[str, ssh.Target]
    saved: evidence_file.EvidenceFile | None


def resolve_config(config: pytest.Config, worker: dict[str, Any] | None) -> AuditConfig:
    """The hosts that the words name. Raises HaleError for whatever is wrong with them."""
    option = config.option
    saved = evidence_file.load_evidence(Path(option.evidence)) if option.evidence else None
    path = option.inventory or (saved.inventory if saved else ROOT / "inventory.ini")
    known = ini.load_inventory(Path(path))
    # xdist hands workers our options as they are by now: hosts already rewritten.
    typed = getattr(option, "hale_hosts", option.hosts)
    option.hale_hosts = typed
    ssh.register()
    chosen = () if saved is None else hosts_in_evidence(saved, known)
    if typed is not None:
        wanted = select_hosts(typed, known, lambda uri: expand_testinfra_uri(uri, option))
        if saved is not None:
            missing = [c.host.name for c in wanted if c.host.name not in saved.hosts]
            if missing:
                raise UserError(f"{option.evidence} holds nothing of {', '.join(missing)}.")
        chosen = wanted
    targets = _targets(chosen, option, worker)
    if any(ssh.TARGETS.get(name, target) != target for name, target in targets.items()):
        ssh.close_sessions()  # they began with options that a plugin has changed since
    ssh.TARGETS.update(targets)
    option.hosts = ",".join(c.uri or f"hale://{c.host.name}" for c in chosen)
    return AuditConfig(known, chosen, targets, saved)


def build_audit(config: pytest.Config, asked: AuditConfig, stated: loader.Standard) -> Audit:
    """The audit of these hosts. Raises HaleError for an override or a standard that is wrong."""
    option = config.option
    loader.check_overrides(stated, asked.inventory)
    with contextlib.suppress(BrokenCheck):  # pytest's collection shows where
        require_checks(stated)
    found = Audit(
        asked.inventory,
        stated,
        option.profile,
        asked.selected_hosts,
        lambda one: _transport(one, asked.targets, option),
        option.gather_timeout,
    )
    if asked.saved is not None:
        found.hosts = asked.saved.hosts
        if asked.saved.inventory_sha256 != provenance.sha256(asked.inventory.path):
            found.evidence_of = asked.saved.inventory
    return found


def _targets(
    chosen: Sequence[SelectedHost], option: Any, worker: dict[str, Any] | None
) -> dict[str, ssh.Target]:
    password = worker["hale_become_password"] if worker else None
    if worker is None and option.ask_become_pass:
        try:
            password = getpass.getpass("sudo password on the hosts: ")
        except (OSError, EOFError):
            raise UserError("--ask-become-pass needs a terminal to ask on.") from None
    return preconnect.targets_for_options(chosen, option, password)


def _testinfra_hosts(uri: str, option: Any) -> list[Any]:
    """The arguments are those that testinfra's plugin uses itself: the objects are shared."""
    try:
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
    except Exception as error:  # testinfra, and what each backend imports and runs
        raise UserError(f"--hosts={uri}: {error}") from None


def expand_testinfra_uri(uri: str, option: Any) -> list[tuple[str, str]]:
    found = []
    for host in _testinfra_hosts(uri, option):
        found.append(host_names(host))
    return found


def host_names(host: Any) -> tuple[str, str]:
    """A testinfra host's own name, and testinfra's id of it, such as ssh://web1."""
    identity: str = host.backend.get_pytest_id()
    name: str | None = getattr(getattr(host.backend, "host", None), "name", None)
    return name or identity.partition("://")[2], identity


def _transport(chosen: SelectedHost, targets: Mapping[str, ssh.Target], option: Any) -> Transport:
    if not chosen.uri:
        name = chosen.host.name
        return transports.SshTransport(ssh.session_for(name), targets[name])
    for host in _testinfra_hosts(chosen.uri, option):
        if chosen.host.name in host_names(host):
            return transports.TestinfraTransport(host)
    raise UserError(f"{chosen.uri}: {chosen.host.name} is gone.")

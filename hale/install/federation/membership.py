"""A join and a leave: read both clusters, show what would be done, ask, and do it."""

import shlex
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec

from hale.apply import cluster_lock, run_journals
from hale.apply.reporter import console_reporter
from hale.install.federation import state
from hale.install.federation.state import FederationHost, FederationMember, Refusal
from hale.install.locked_run import check_reachable
from hale.inventory import ini
from hale.inventory.ini import Inventory
from hale.model.address import url_host
from hale.model.components import FEDERATION
from hale.model.errors import UserError
from hale.plan import approval
from hale.redact import redact
from hale.report.text import confirm, escape_controls
from hale.shell import arguments, load_script, script_with
from hale.ssh import RemoteError, SessionPool
from hale.ssh.inventory_targets import LoginOptions, targets_of
from hale.ssh.remote import PRELUDE

_HERE = Path(__file__).parent
_DNS = 53
PATIENCE = 300  # seconds for a member to be Ready, or for its objects to be removed
_SIGNED = "A membership has no plan to sign: remove the variable, and set it again afterwards."


@dataclass(frozen=True)
class FederationOptions:
    """The options of a join or a leave. host, member: the inventories of the cluster with Karmada,
    and of the other. name: of the member, in place of its cluster's."""

    host: Path
    member: Path
    name: str = ""
    plan: bool = False
    yes: bool = False
    force_unlock: bool = False
    login: LoginOptions | None = None


class _Step(NamedTuple):
    """title: also in the plan."""

    title: str
    carry_out: Callable[[], None]


@dataclass(frozen=True)
class _Clusters:
    """Both clusters, and sessions to all of their hosts."""

    name: str
    first: Inventory
    second: Inventory
    on_first: SessionPool
    on_second: SessionPool

    def on_host(self, script: str, stdin: bytes = b"", **given: str) -> str:
        """Run a script with a client of Karmada's own apiserver. Raises UserError."""
        parts = [_HERE / "karmada_client.sh", _HERE / f"{script}.sh"]
        text = self._begin(given) + "".join(map(load_script, parts))
        return _run(self.on_first, self.first.masters[0].name, text, stdin)

    def on_member(self, script: str, **given: str) -> str:
        """Run a script on the member. Raises UserError."""
        text = self._begin(given) + load_script(_HERE / f"{script}.sh")
        return _run(self.on_second, self.second.masters[0].name, text)

    def _begin(self, given: dict[str, str]) -> str:
        return script_with(
            _HERE / "karmada.sh",
            namespace=FEDERATION.namespace,
            memory="/run",
            name=self.name,
            **given,
        )


def join(options: FederationOptions) -> None:
    """Make a cluster a member, and wait until it is Ready.

    Raises UserError: where it is refused, with everything that is missing; where a step fails.
    """
    with _clusters(options) as its:
        host = state.parse_host(its.on_host("read_host"))
        member = state.parse_member(its.on_member("read_member"))
        refused = [
            *state.range_refusals(its.first, its.second),
            *state.join_refusals(its.name, its.first, its.second, host, member),
        ]
        _refuse([*refused, *_unreached(its, host, member)])
        steps = _join_steps(its, host, member)
        _show(steps)
        if not options.plan:
            _carry_out(options, its, steps, f"Join {its.name}?")
            print(f"{its.name} is a member, and Ready.")


def leave(options: FederationOptions) -> None:
    """Take a cluster out of the federation, with what Karmada has placed there.

    Raises UserError: where it is refused; where a step fails.
    """
    with _clusters(options) as its:
        host = state.parse_host(its.on_host("read_host"))
        member = state.parse_member(its.on_member("read_member"))
        _refuse([*state.leave_refusals(its.name, host, member)])
        placed = host.placed.get(its.name, ())
        for workload in placed:
            print(f"  placed on {its.name}, and removed there: {escape_controls(workload)}")
        steps = _leave_steps(its)
        _show(steps)
        if not options.plan:
            _carry_out(options, its, steps, f"Take {its.name} out of the federation?")
            print(f"{its.name} is not a member any more.")


@contextmanager
def _clusters(options: FederationOptions) -> Iterator[_Clusters]:
    first, second = (ini.load_inventory(path) for path in (options.host, options.member))
    for inventory in (first, second):
        approval.require_for_run(inventory, _SIGNED)
        if not inventory.masters:
            raise UserError(f"nothing was changed: {inventory.path} has no control-plane node.")
    own = {host.address for host in first.hosts}
    if shared := [host.name for host in second.hosts if host.address in own]:
        raise UserError(
            f"nothing was changed: {shared[0]} is in both inventories. --inventory is that of the "
            "cluster that joins or leaves, --host-inventory that of the one with Karmada."
        )
    name = options.name or second.cluster.name
    with (
        SessionPool(targets_of(first, options.login)) as on_first,
        SessionPool(targets_of(second, options.login)) as on_second,
    ):
        for sessions in (on_first, on_second):
            check_reachable(sessions)
        yield _Clusters(name, first, second, on_first, on_second)


def _refuse(refused: list[Refusal]) -> None:
    if refused:
        raise UserError("nothing was changed:\n" + "\n".join(f"  {r}" for r in refused))


def _unreached(its: _Clusters, host: FederationHost, member: FederationMember) -> list[Refusal]:
    """From every host: the other cluster's pods, and from the first cluster's the apiserver too."""
    endpoint = state.endpoint_of(its.second)
    there = [f"{url_host(pod)}:{_DNS}" for pod in member.pods]
    back = [f"{url_host(pod)}:{_DNS}" for pod in host.pods]
    tried = [
        *((its.on_first, h.name, its.second, [*there, endpoint]) for h in its.first.hosts),
        *((its.on_second, h.name, its.first, back) for h in its.second.hosts),
    ]

    def one(
        sessions: SessionPool, name: str, other: Inventory, addresses: list[str]
    ) -> list[Refusal]:
        script = arguments(*addresses) + load_script(_HERE / "reach.sh")
        output = _run(sessions, name, script)
        return [*state.reach_refusals(output, name, other, endpoint)]

    with ThreadPoolExecutor(max_workers=16) as pool:
        found = pool.map(lambda each: one(*each), tried)
        return [refusal for refusals in found for refusal in refusals]


def _join_steps(
    its: _Clusters, host: FederationHost, member: FederationMember
) -> tuple[_Step, ...]:
    account: dict[str, list[str]] = {}

    def invite() -> None:
        for line in its.on_member("invite", host=host.uid).splitlines():
            word, _, value = line.partition(" ")
            account.setdefault(word, []).append(value)

    def enroll() -> None:
        objects = _objects(its, member, account)
        its.on_host("enroll", objects, patience=str(PATIENCE))

    return (
        _Step(
            f"{its.second.cluster.name}: the namespace karmada-cluster, with ServiceAccounts for "
            "Karmada's controllers, which may do everything there, and their tokens",
            invite,
        ),
        _Step(
            f"{its.first.cluster.name}: in Karmada the member {its.name} (Push, "
            f"https://{state.endpoint_of(its.second)}), with those tokens; until it is Ready",
            enroll,
        ),
    )


def _objects(its: _Clusters, member: FederationMember, account: dict[str, list[str]]) -> bytes:
    """The Cluster object and its Secrets, as JSON. Raises UserError."""
    try:
        (own, impersonator), (authority,) = account["token"], account["ca"]
        complete = account["end"] == [""]
    except (KeyError, ValueError):
        complete = False
    if not complete:
        raise UserError("the member's answer has no tokens: run the command again.")
    names = {its.name: own, f"{its.name}-impersonator": impersonator}
    space = "karmada-cluster"
    secrets = [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": space},
            "data": {"token": token, "caBundle": authority},
        }
        for name, token in names.items()
    ]
    own_secret, acting_secret = ({"namespace": space, "name": name} for name in names)
    cluster = {
        "apiVersion": "cluster.karmada.io/v1alpha1",
        "kind": "Cluster",
        "metadata": {"name": its.name},
        "spec": {
            "id": member.uid,
            "syncMode": "Push",
            "apiEndpoint": f"https://{state.endpoint_of(its.second)}",
            "secretRef": own_secret,
            "impersonatorSecretRef": acting_secret,
        },
    }
    return msgspec.json.encode({"apiVersion": "v1", "kind": "List", "items": [*secrets, cluster]})


def _leave_steps(its: _Clusters) -> tuple[_Step, ...]:
    def expel() -> None:
        its.on_host("expel", patience=str(PATIENCE))

    def forget() -> None:
        its.on_member("forget")

    return (
        _Step(
            f"{its.first.cluster.name}: Karmada removes what it has placed on {its.name}, and "
            "forgets the member and its tokens",
            expel,
        ),
        _Step(
            f"{its.second.cluster.name}: the namespace karmada-cluster and the rights of Karmada's "
            "controllers are removed",
            forget,
        ),
    )


def _show(steps: tuple[_Step, ...]) -> None:
    for step in steps:
        print(f"  {escape_controls(step.title)}")


def _carry_out(
    options: FederationOptions, its: _Clusters, steps: tuple[_Step, ...], question: str
) -> None:
    """Ask, and take the steps under the locks of both clusters. Raises UserError."""
    if not options.yes and not confirm(f"\n{question} [y/N] "):
        raise UserError("nothing was changed; --yes answers the question without a terminal.")
    with _locked(options, its.on_first), _locked(options, its.on_second):
        for number, step in enumerate(steps, 1):
            print(f"step {number} of {len(steps)}", flush=True)
            step.carry_out()


def _locked(options: FederationOptions, sessions: SessionPool) -> AbstractContextManager[None]:
    """Hold the locks of a cluster's hosts, as every run does that changes one."""
    names = list(sessions.targets)
    return cluster_lock.locks_held(
        sessions,
        names,
        names,
        run_journals.new_owner("federation"),
        stale=options.force_unlock,
        report=console_reporter(),
    )


def _run(sessions: SessionPool, host: str, script: str, stdin: bytes = b"") -> str:
    """The script's output, which may be a secret. Raises UserError with the end of its errors."""
    text = f"{PRELUDE}set -eu\n{script}"
    try:
        done = sessions.session(host).run(f"/bin/sh -c {shlex.quote(text)}", PATIENCE + 60, stdin)
    except RemoteError as error:
        raise UserError(f"{host}: {redact(str(error))}") from None
    if done.exit_status:
        errors = redact(done.stderr.decode(errors="backslashreplace")).strip().splitlines()[-3:]
        raise UserError(f"{host}: {'; '.join(errors) or f'exit status {done.exit_status}'}")
    return done.stdout.decode(errors="backslashreplace")

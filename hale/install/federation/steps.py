"""The steps of a join and of a leave, and how they are taken."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from hale.apply.journal import (
    InstallStepDone,
    InstallStepStarted,
    InstallStepState,
    Journal,
    RunFinished,
    RunState,
    now,
)
from hale.install.federation import state
from hale.install.federation.clusters import PATIENCE, Clusters
from hale.install.federation.state import FederationHost, FederationMember
from hale.model.errors import UserError
from hale.report.change.model import Operation

_LISTED = 20  # workloads in the title of a step


class FederationStep(NamedTuple):
    """A step. host: where it is taken; title: also in the plan; interrupts: it stops workloads."""

    host: str
    title: str
    carry_out: Callable[[], None]
    interrupts: bool = False


def join_steps(
    its: Clusters, host: FederationHost, member: FederationMember
) -> tuple[FederationStep, ...]:
    """Accounts on the member, then the member in Karmada."""
    account: dict[str, list[str]] = {}

    def invite() -> None:
        for line in its.on_member("invite", host=host.uid).splitlines():
            word, _, value = line.partition(" ")
            account.setdefault(word, []).append(value)

    def enroll() -> None:
        objects = _objects(its, member, account)
        its.on_host("enroll", objects, patience=str(PATIENCE))

    return (
        FederationStep(
            its.second.masters[0].name,
            f"{its.second.cluster.name}: the namespace karmada-cluster, with ServiceAccounts for "
            "Karmada's controllers, which may do everything there, and their tokens",
            invite,
        ),
        FederationStep(
            its.first.masters[0].name,
            f"{its.first.cluster.name}: in Karmada the member {its.name} (Push, "
            f"https://{state.endpoint_of(its.second)}), with those tokens; until it is Ready",
            enroll,
        ),
    )


def _objects(its: Clusters, member: FederationMember, account: dict[str, list[str]]) -> bytes:
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


def leave_steps(its: Clusters, placed: Sequence[str]) -> tuple[FederationStep, ...]:
    """The member and what is placed there, then its accounts. placed: the workloads' names."""
    listed = ", ".join(placed[:_LISTED]) or "nothing at present"
    if len(placed) > _LISTED:
        listed += f" and {len(placed) - _LISTED} more"

    def expel() -> None:
        its.on_host("expel", patience=str(PATIENCE))

    def forget() -> None:
        its.on_member("forget")

    return (
        FederationStep(
            its.first.masters[0].name,
            f"{its.first.cluster.name}: Karmada removes what it has placed on {its.name} "
            f"({listed}), and forgets the member and its tokens",
            expel,
            interrupts=bool(placed),
        ),
        FederationStep(
            its.second.masters[0].name,
            f"{its.second.cluster.name}: the namespace karmada-cluster and the rights of Karmada's "
            "controllers are removed",
            forget,
        ),
    )


def take(steps: tuple[FederationStep, ...], kind: Operation, journal: Journal) -> None:
    """Take the steps, each with an entry before and after. Raises UserError."""
    state = RunState.INTERRUPTED
    try:
        for number, step in enumerate(steps, 1):
            print(f"step {number} of {len(steps)}", flush=True)
            what = (kind.value, step.host, step.title)
            journal.write(InstallStepStarted(*what, "", step.interrupts, now()))
            began, ended = time.monotonic(), InstallStepState.FAILED
            try:
                step.carry_out()
                ended = InstallStepState.DONE
            finally:
                seconds = round(time.monotonic() - began, 2)
                journal.write(InstallStepDone(*what, ended, seconds, False, now()))
        state = RunState.FINISHED
    except UserError:
        state = RunState.FAILED
        raise
    finally:
        journal.write(RunFinished(state, now()))

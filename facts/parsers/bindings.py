"""What ServiceAccounts may do: their bindings, and the rules of the roles. Not a subject.

Source: kubernetes.io, "Using RBAC Authorization" (subjects, aggregated roles, resourceNames).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from facts.parsers.api_objects import Listing, blocks
from hale.model.evidence import Unreadable

_ADMIN = "cluster-admin"
_READS = {"get", "list", "watch", "*"}


class Binding(Struct, frozen=True):
    """A RoleBinding, or without a namespace a ClusterRoleBinding.

    subjects: kind, name and namespace of each.
    """

    name: str
    namespace: str
    role_kind: str
    role: str
    subjects: tuple[tuple[str, str, str], ...]

    def has(self, namespace: str, account: str) -> bool:
        """Whether this ServiceAccount is a subject of it, by itself or by a group."""
        groups = {
            "system:serviceaccounts",
            f"system:serviceaccounts:{namespace}",
            "system:authenticated",
        }
        return any(
            (kind, name, where) == ("ServiceAccount", account, namespace)
            or (kind == "Group" and name in groups)
            or (kind, name) == ("User", f"system:serviceaccount:{namespace}:{account}")
            for kind, name, where in self.subjects
        )

    def __str__(self) -> str:
        return (
            f"RoleBinding {self.namespace}/{self.name}"
            if self.namespace
            else f"ClusterRoleBinding {self.name}"
        )


def read(listings: Sequence[Listing]) -> tuple[Binding, ...]:
    """The tagged lines of bindings. Raises Unreadable."""
    return tuple(map(_binding, blocks(listings, "bindings")))


def _binding(lines: Sequence[str]) -> Binding:
    own: dict[str, list[str]] = {"name": [], "namespace": [], "kind": []}
    subjects: list[dict[str, str]] = []
    for line in lines:
        tag, _, text = line.partition(" ")
        try:
            value = str(json.loads(text))
        except (ValueError, RecursionError) as error:
            raise Unreadable(f"a binding has an unknown format: {error!r}") from None
        if tag == "subject-kind":
            subjects.append({"kind": value})
        elif tag.startswith("subject-") and subjects:
            subjects[-1][tag.removeprefix("subject-")] = value
        elif tag in own:
            own[tag].append(value)
    if len(own["name"]) != 2 or not own["kind"]:
        raise Unreadable("a binding has an unknown format: no role")
    return Binding(
        own["name"][0],
        own["namespace"][0] if own["namespace"] else "",
        own["kind"][-1],
        own["name"][-1],
        tuple((s["kind"], s.get("name", ""), s.get("namespace", "")) for s in subjects),
    )


def too_much(
    binding: Binding, roles: Mapping[tuple[str, str, str], Mapping[str, Any] | None]
) -> str:
    """Why the binding gives more than a dashboard of its own needs; empty if it does not.

    roles: by kind, namespace (empty of a ClusterRole) and name; None for one that is not there.
    Raises Unreadable where the role was not read.
    """
    if binding.role == _ADMIN and binding.role_kind == "ClusterRole":
        return f"{binding} gives it {_ADMIN}"
    where = binding.namespace if binding.role_kind == "Role" else ""
    try:
        role = roles[binding.role_kind, where, binding.role]
    except KeyError:
        raise Unreadable(f"{binding}: the role {binding.role} was not read") from None
    if role is not None and any(_reads_secrets(role)):
        return f"{binding} gives it {binding.role_kind} {binding.role}, which reads Secrets"
    return ""


def _reads_secrets(role: Mapping[str, Any]) -> Iterator[bool]:
    """For each rule; one that names the Secrets, such as a dashboard's own, is no fault."""
    for rule in role.get("rules") or ():
        yield bool(
            {"", "*"} & {*(rule.get("apiGroups") or ())}
            and {"secrets", "*"} & {*(rule.get("resources") or ())}
            and _READS & {*(rule.get("verbs") or ())}
            and not rule.get("resourceNames")
        )

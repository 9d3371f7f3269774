"""The federation's phase: what it makes, in which order, and who may read which key."""

import base64
import shutil
import subprocess
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509

from facts.cluster import manifests
from hale.install.cluster_context import ClusterContext
from hale.install.phase import Observations, RunScript
from hale.install.secrets import Secret
from remediate.cluster import federation, kubectl, network, scripts, templates
from remediate.cluster.federation import BASE, CONTROLLERS, OBJECTS, Federation
from tests.install import factories
from tests.install.test_ingress import NOTHING

KINDS = "kind: CustomResourceDefinition\n"
ASKED = "federation=karmada\nfederation_crds=kinds.yaml\n"
SPACE = "karmada-system"


def site_of(folder: Path, more: str = "") -> ClusterContext:
    return factories.made(folder, ASKED + more, kinds_yaml=KINDS)


def steps(site: ClusterContext, observed: Observations) -> list[RunScript]:
    found = [step for batch in Federation().batches(site, observed) for step in batch.steps]
    assert all(isinstance(step, RunScript) for step in found)
    return [step for step in found if isinstance(step, RunScript)]


def applied(site: ClusterContext) -> dict[Path, list[dict[str, Any]]]:
    """What goes to kubectl on an empty cluster, by manifest."""
    given = [step.stdin for step in steps(site, factories.observed({"m1": NOTHING}, {}))]
    texts = [each.reveal() for each in given if isinstance(each, Secret)]
    return {
        path: [made for made in yaml.safe_load_all(text) if made]
        for path, text in zip((BASE, OBJECTS, CONTROLLERS), texts, strict=True)
    }


@pytest.fixture
def workloads(tmp_path: Path) -> dict[str, dict[str, Any]]:
    made = applied(site_of(tmp_path))
    return {
        each["metadata"]["name"]: each
        for path in (BASE, CONTROLLERS)
        for each in made[path]
        if each["kind"] in ("Deployment", "StatefulSet")
    }


# --- resume: each state of the cluster, and what is still done ---


def observed(
    site: ClusterContext, made: tuple[Path, ...], *, secrets: bool = True, ready: int = 2
) -> Observations:
    """A cluster in which these manifests were applied. ready: replicas of each workload."""
    files = {path: site.files.get(path, b"") for path in made}
    full = federation._with_manifests(site)
    notes = {
        network.key(path): templates.digest(full.files[path])
        if path in full.files
        else templates.digest(federation._objects(site))
        for path in files
    }
    lines = [
        f"object [{o.namespace}] {o.kind} {o.name} "
        + (f"[2] [{ready}] [] []" if o.kind in ("Deployment", "StatefulSet") else "[] [] [] []")
        for o in network.objects(full, [path for path in made if path in full.files])
    ]
    if secrets:
        lines.append(f"object [{SPACE}] Secret karmada-authorities [] [] [] []")
    annotations = "{" + ",".join(f'"{key}":"{note}"' for key, note in notes.items()) + "}"
    return factories.observed(
        {
            "m1": {
                **NOTHING,
                "manifests.applied": f"{annotations if notes else ''}\nend 0\n",
                "nodes.objects": "\n".join([*lines, "end 0", ""]),
            }
        },
        {},
    )


CERTIFICATES, APISERVER, WEBHOOKS, CONTROL = (
    "Karmada's certificates",
    "Karmada's apiserver and etcd",
    "Karmada's kinds and webhooks",
    "Karmada's controllers",
)


@pytest.mark.parametrize(
    ("made", "secrets", "remaining"),
    [
        ((), False, [CERTIFICATES, APISERVER, WEBHOOKS, CONTROL]),
        ((), True, [APISERVER, WEBHOOKS, CONTROL]),
        ((BASE,), True, [WEBHOOKS, CONTROL]),
        ((BASE, OBJECTS), True, [CONTROL]),
        ((BASE, OBJECTS, CONTROLLERS), True, []),
        # Somebody has deleted the Secrets: they are made again, and nothing else.
        ((BASE, OBJECTS, CONTROLLERS), False, [CERTIFICATES]),
    ],
)
def test_it_goes_on_where_it_stopped(
    tmp_path: Path, made: tuple[Path, ...], secrets: bool, remaining: list[str]
) -> None:
    site = site_of(tmp_path)
    now = observed(site, made, secrets=secrets)
    assert [step.title for step in steps(site, now)] == remaining
    assert bool(Federation().remaining(site, now)) == bool(remaining)
    assert not Federation().differences(site, now)


def test_kinds_that_were_not_applied_completely(tmp_path: Path) -> None:
    site = site_of(tmp_path)
    now = observed(site, (BASE, OBJECTS, CONTROLLERS))
    key = network.key(OBJECTS)
    text = f'{{"{network.key(BASE)}":"{"0" * 64}","{key}":"{manifests.APPLYING}"}}\nend 0\n'
    outputs = now.hosts["m1"].outputs
    given = {name: output.stdout for name, output in outputs.items()}
    now = factories.observed({"m1": {**given, "manifests.applied": text}}, {})
    assert WEBHOOKS in [step.title for step in steps(site, now)]
    assert [str(p) for p in Federation().remaining(site, now)] == [
        "Karmada's apiserver does not have all its kinds"
    ]


def test_it_waits_until_every_replica_is_ready(tmp_path: Path) -> None:
    site = site_of(tmp_path)
    now = observed(site, (BASE, OBJECTS, CONTROLLERS), ready=1)
    problems = [str(problem) for problem in Federation().remaining(site, now)]
    assert f"{SPACE}/statefulset/karmada-etcd: 1 of 2 are ready" in problems
    assert len(problems) == 7


def test_two_hosts_are_too_few(tmp_path: Path) -> None:
    complete = "".join(
        line
        for line in factories.INVENTORY.splitlines(keepends=True)
        if line.partition(" ")[0] not in ("m2", "m3", "w2")
    )
    site = factories.made(tmp_path, ASKED, complete=complete, kinds_yaml=KINDS)
    # A phase without gate_probes is not consulted (hale/install/refusals.py).
    assert any(Federation().gate_probes(site, host) for host in site.hosts)
    (problem,) = Federation().gate_problems(site, Observations())
    assert problem.startswith("federation=karmada needs 3 hosts")
    assert not Federation().gate_problems(site_of(tmp_path), Observations())


# --- what is applied ---


def test_every_workload_is_spread_and_limited(
    tmp_path: Path, workloads: dict[str, dict[str, Any]]
) -> None:
    assert len(workloads) == 7
    made = applied(site_of(tmp_path))
    budgets = {
        each["metadata"]["name"]: each["spec"]["selector"]["matchLabels"]
        for path in (BASE, CONTROLLERS)
        for each in made[path]
        if each["kind"] == "PodDisruptionBudget"
    }
    for name, each in workloads.items():
        spec, pod = each["spec"], each["spec"]["template"]["spec"]
        labels = spec["template"]["metadata"]["labels"]
        assert spec["replicas"] == (3 if name == "karmada-etcd" else 2), name
        assert budgets[name] == labels == spec["selector"]["matchLabels"], name
        (rule,) = pod["affinity"]["podAntiAffinity"][
            "requiredDuringSchedulingIgnoredDuringExecution"
        ]
        assert rule["topologyKey"] == "kubernetes.io/hostname", name
        assert rule["labelSelector"]["matchLabels"] == labels, name
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["securityContext"].get("runAsNonRoot", False) == (name != "karmada-etcd"), name
        (container,) = pod["containers"]
        assert {"readinessProbe", "livenessProbe"} <= container.keys(), name
        assert {"requests", "limits"} == container["resources"].keys(), name
        rights = container["securityContext"]
        assert rights["capabilities"] == {"drop": ["ALL"]}, name
        assert rights["readOnlyRootFilesystem"] is True, name
        assert rights["allowPrivilegeEscalation"] is False, name


def test_the_images(workloads: dict[str, dict[str, Any]]) -> None:
    images = {
        n: w["spec"]["template"]["spec"]["containers"][0]["image"] for n, w in workloads.items()
    }
    at = "registry.example:5000/k8s"
    assert images["karmada-apiserver"] == f"{at}/kube-apiserver:v1.34.4"
    assert images["karmada-kube-controller-manager"] == f"{at}/kube-controller-manager:v1.34.4"
    assert images["karmada-etcd"] == f"{at}/etcd:3.6.5-0"
    for name in ("aggregated-apiserver", "webhook", "controller-manager", "scheduler"):
        assert images[f"karmada-{name}"] == f"{at}/karmada-{name}:v1.18.2"


def test_its_apiserver_is_reached_from_the_cluster_alone(tmp_path: Path) -> None:
    made = applied(site_of(tmp_path))
    services = [e for path in (BASE, CONTROLLERS) for e in made[path] if e["kind"] == "Service"]
    assert {e["metadata"]["name"] for e in services} == {
        "karmada-etcd", "karmada-etcd-client", "karmada-apiserver",
        "karmada-aggregated-apiserver", "karmada-webhook",
    }  # fmt: skip
    assert not [e for e in services if "type" in e["spec"]]


def test_the_objects_of_karmadas_own_apiserver(tmp_path: Path) -> None:
    objects = applied(site_of(tmp_path))[OBJECTS]
    assert objects[0] == yaml.safe_load(KINDS), "the site's file comes first"
    found = {(e["kind"], e["metadata"]["name"]): e for e in objects[1:]}
    registered = found["APIService", "v1alpha1.cluster.karmada.io"]["spec"]
    assert registered["caBundle"] == "@CA@"
    hooks = [
        hook
        for kind in ("Mutating", "Validating")
        for hook in found[f"{kind}WebhookConfiguration", "karmada"]["webhooks"]
    ]
    urls = {hook["clientConfig"]["url"] for hook in hooks}
    assert len(urls) == len(hooks) == 22
    assert all(url.startswith(f"https://karmada-webhook.{SPACE}.svc:443/") for url in urls)
    # Deletions are asked about only where an object is protected.
    (deletion,) = [h for h in hooks if h["rules"][0]["operations"] == ["DELETE"]]
    assert deletion["objectSelector"]["matchExpressions"][0]["operator"] == "Exists"


# --- its certificates ---


@pytest.fixture
def secrets(tmp_path: Path) -> dict[str, Mapping[str, bytes]]:
    """What the script makes with a kubectl that keeps what it is given, by name."""
    return {
        each["metadata"]["name"]: {k: base64.b64decode(v) for k, v in each["data"].items()}
        for each in _made(tmp_path / "secrets")
        if each["kind"] == "Secret"
    }


def _made(folder: Path, there: str = "1") -> list[dict[str, Any]]:
    memory = folder / "memory"
    memory.mkdir(parents=True)
    fake = folder / "kubectl"
    fake.write_text(
        f'#!/bin/sh\necho "$*" >>{folder}/argv\n'
        f'case $* in *" get secret "*) exit {there} ;; esac\ncat >>{folder}/given\n'
    )
    fake.chmod(0o755)
    script = scripts.load(
        "make_karmada_secrets",
        "IP:10.0.0.1",
        "IP:10.0.0.100",
        kubectl=str(fake),
        namespace=SPACE,
        last="karmada-authorities",
        days="3650",
        members="3",
        memory=str(memory),
    )
    subprocess.run(["sh", "-euc", script], check=True, cwd="/", capture_output=True)
    assert not list(memory.iterdir()), "no key stays behind"
    shown = (folder / "argv").read_text()
    assert "BEGIN" not in shown
    assert len(shown) < 1000, "no key is an argument"
    given = folder / "given"
    return [e for e in yaml.safe_load_all(given.read_text()) if e] if given.exists() else []


needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl")


@needs_openssl
def test_they_are_made_once(tmp_path: Path) -> None:
    assert _made(tmp_path, there="0") == []


@needs_openssl
def test_the_authorities_come_last(tmp_path: Path) -> None:
    made = _made(tmp_path)
    assert made[0]["kind"] == "Namespace"
    assert made[-1]["metadata"]["name"] == "karmada-authorities"
    calls = (tmp_path / "argv").read_text().splitlines()
    assert [call.split()[0] for call in calls] == ["-n", "apply", "apply"], "by a call of its own"


@needs_openssl
def test_who_may_read_which_key(
    secrets: dict[str, Mapping[str, bytes]], workloads: dict[str, dict[str, Any]]
) -> None:
    mounted = {
        name: {
            volume["secret"]["secretName"]
            for volume in workload["spec"]["template"]["spec"]["volumes"]
            if "secret" in volume
        }
        for name, workload in workloads.items()
    }
    used = set().union(*mounted.values())
    assert used <= secrets.keys()
    assert secrets.keys() - used == {"karmada-authorities", "karmada-admin-config"}
    with_etcd = {name for name, names in mounted.items() if "karmada-etcd-client-cert" in names}
    assert with_etcd == {"karmada-apiserver", "karmada-aggregated-apiserver"}
    assert not any(key.endswith("ca.key") for name in used for key in secrets[name])


@needs_openssl
def test_what_they_are_valid_for(secrets: dict[str, Mapping[str, bytes]]) -> None:
    authorities = secrets["karmada-authorities"]
    for name, authority, host in (
        ("karmada-etcd-cert", "etcd-ca", f"karmada-etcd-2.karmada-etcd.{SPACE}.svc"),
        ("karmada-apiserver-cert", "ca", f"karmada-apiserver.{SPACE}.svc"),
        ("karmada-aggregated-apiserver-cert", "ca", f"karmada-aggregated-apiserver.{SPACE}.svc"),
        ("karmada-webhook-cert", "ca", f"karmada-webhook.{SPACE}.svc"),
    ):
        issuer = x509.load_pem_x509_certificate(authorities[f"{authority}.crt"])
        certificate = x509.load_pem_x509_certificate(secrets[name]["tls.crt"])
        certificate.verify_directly_issued_by(issuer)
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        assert host in alternatives.value.get_values_for_type(x509.DNSName)
        days = (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days
        assert days == federation.DAYS
    served = x509.load_pem_x509_certificate(secrets["karmada-apiserver-cert"]["tls.crt"])
    names = served.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {ip_address("10.0.0.1"), ip_address("10.0.0.100")} <= set(
        names.get_values_for_type(x509.IPAddress)
    )


def test_no_key_is_in_a_step(tmp_path: Path) -> None:
    site = site_of(tmp_path)
    host = site.first_control_plane
    for step in steps(site, factories.observed({"m1": NOTHING}, {})):
        assert "BEGIN" not in step.script
        assert kubectl.shell_command(host) in step.script.replace("'", "")

"""A federation of real programs: Karmada's, and three apiservers on one etcd.

`host` is the cluster with the control plane, and a member in mode Pull (m1); `m2` is a member in
mode Push; `karmada` is Karmada's own apiserver. There is no kubelet: the objects of Karmada's
Deployments are those of its release, and their replicas are stated here, while the programs
themselves run as processes. Addresses are those of a network namespace without a way out.
"""

import base64
import re
import subprocess
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from facts.parsers import api_objects, karmada
from hale.shell import load_script
from tests.federation.pki import Authority
from tests.federation.processes import YAML, Api, Processes, until

ROOT = Path(__file__).parents[2]
# RFC 2544: addresses for tests of devices.
SERVICE, AGGREGATED = "198.18.0.50", "198.18.1.51"
PORTS = {"host": 6443, "karmada": 5443, "m2": 7443}
NAMESPACE = "karmada-system"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
STATEFUL = f"/apis/apps/v1/namespaces/{NAMESPACE}/statefulsets"
PODS, SECRETS = (f"/api/v1/namespaces/{NAMESPACE}/{kind}" for kind in ("pods", "secrets"))
CLUSTERS = "/apis/cluster.karmada.io/v1alpha1/clusters"
SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
REGISTERED = "v1alpha1.cluster.karmada.io"
COMPONENTS = tuple(name.removeprefix("karmada-") for name in karmada.NEEDED)
TOKEN = "token-of-the-member-m2"  # of an apiserver that ends with the test


class Federation:
    """All of it, step by step. programs: etcd, Kubernetes' and Karmada's; module: its sources."""

    def __init__(self, folder: Path, programs: dict[str, Path], module: Path) -> None:
        self.folder = folder
        self.processes = Processes(folder)
        self._programs = programs
        self._module = module
        self.authority = Authority(folder / "pki")
        pki = self.authority.folder
        self._ca = pki / "ca.crt"
        everywhere = ("127.0.0.1", SERVICE, AGGREGATED)
        self._server = self.authority.issue(
            "server",
            addresses=everywhere,
            names=(
                f"karmada-apiserver.{NAMESPACE}.svc.cluster.local",
                f"karmada-aggregated-apiserver.{NAMESPACE}.svc",
            ),
        )
        self.admin = self.authority.issue("apiserver-kubelet-client", "system:masters")
        self.apis = {
            name: Api("127.0.0.1", port, self._ca, self.admin) for name, port in PORTS.items()
        }
        (folder / "tokens.csv").write_text(f"{TOKEN},m2,m2,system:masters\n")
        (folder / "karmada.config").write_text(
            self.kubeconfig(self.admin, f"https://127.0.0.1:{PORTS['karmada']}")
        )
        (folder / "host.config").write_text(
            self.kubeconfig(self.admin, f"https://127.0.0.1:{PORTS['host']}")
        )

    def kubeconfig(self, client: tuple[Path, Path], server: str) -> str:
        """As artifacts/deploy/karmada-config-secret.yaml has it."""
        text = (self._module / "artifacts/deploy/karmada-config-secret.yaml").read_text()
        config = "\n".join(line[4:] for line in text.split("karmada.config: |-\n")[1].split("\n"))
        for name, path in (("ca", self._ca), ("client", client[0])):
            config = config.replace(f"${{{name}_crt}}", _base64(path.read_bytes()))
        config = config.replace("${client_key}", _base64(client[1].read_bytes()))
        return config.replace(
            "https://karmada-apiserver.karmada-system.svc.cluster.local:5443", server
        )

    def start_network(self) -> None:
        """The addresses, of this namespace's loopback."""
        for argv in (
            ["link", "set", "lo", "up"],
            *(["address", "add", f"{a}/32", "dev", "lo"] for a in (SERVICE, AGGREGATED)),
        ):
            subprocess.run(["ip", *argv], check=True)

    def start_apiservers(self) -> None:
        """etcd, and the three on it."""
        self.processes.start(
            "etcd",
            [self._programs["etcd"], f"--data-dir={self.folder}/etcd", "--unsafe-no-fsync"],
            {},
        )
        for name in PORTS:
            self.start_apiserver(name)
        for name, api in self.apis.items():
            until(f"the apiserver {name} is ready", api.answers)

    def start_apiserver(self, name: str) -> None:
        """One of the three, in the background."""
        certificate, key = self._server
        argv: list[str | Path] = [
            self._programs["kube-apiserver"],
            "--etcd-servers=http://127.0.0.1:2379",
            f"--etcd-prefix=/{name}",
            f"--secure-port={PORTS[name]}",
            "--advertise-address=198.18.0.50",
            "--endpoint-reconciler-type=none",
            f"--tls-cert-file={certificate}",
            f"--tls-private-key-file={key}",
            f"--client-ca-file={self._ca}",
            f"--requestheader-client-ca-file={self._ca}",
            f"--proxy-client-cert-file={self.admin[0]}",
            f"--proxy-client-key-file={self.admin[1]}",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            "--enable-aggregator-routing=true",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={certificate}",
            f"--service-account-signing-key-file={key}",
            "--service-cluster-ip-range=198.18.0.0/24",
            "--authorization-mode=RBAC",
            "--disable-admission-plugins=ServiceAccount",
            f"--token-auth-file={self.folder}/tokens.csv",
        ]
        self.processes.start(f"apiserver-{name}", argv, {})

    # --- what the cluster with the control plane has ---

    def add_workload(self, name: str, file: str, folder: str = DEPLOYMENTS) -> None:
        """The release's own Deployment or StatefulSet, with two ready replicas on two nodes."""
        host = self.apis["host"]
        text = (self._module / "artifacts" / file).read_text()
        kind = "kind: StatefulSet" if folder == STATEFUL else "kind: Deployment"
        (document,) = [d for d in text.split("\n---\n") if kind in d.split("\n")]
        given = {"karmada_apiserver_version": "v1.34.4", "image_pull_policy": "IfNotPresent"}
        document = re.sub(r"\{\{(\w+)\}\}", lambda m: given.get(m[1], "unset"), document)
        host.create(folder, document, YAML)
        host.patch(f"{folder}/{name}", {"spec": {"replicas": 2}})
        self.set_ready(name, 2, folder)
        for number in (1, 2):
            self.add_pod(name, number, f"k8s-node-0{number}", folder)

    def set_ready(self, name: str, ready: int, folder: str = DEPLOYMENTS) -> None:
        """What its controller would state."""
        status = {"status": {"replicas": ready, "readyReplicas": ready}}
        self.apis["host"].patch(f"{folder}/{name}/status", status)

    def add_pod(self, name: str, number: int, node: str, folder: str = DEPLOYMENTS) -> None:
        """A ready pod of it on that node."""
        host = self.apis["host"]
        labels = host.get(f"{folder}/{name}")["spec"]["template"]["metadata"]["labels"]
        pod = f"{name}-{number}"
        container = {"name": "main", "image": "registry.example/main:1"}
        host.create(
            PODS,
            {
                "metadata": {"name": pod, "labels": labels},
                "spec": {"nodeName": node, "containers": [container]},
            },
        )
        state: dict[str, Any] = {**container, "imageID": "", "ready": True, "restartCount": 0}
        state["state"] = {"running": {"startedAt": "2026-11-30T00:00:00Z"}}
        conditions = [{"type": "Ready", "status": "True"}]
        status = {"phase": "Running", "containerStatuses": [state], "conditions": conditions}
        host.patch(f"{PODS}/{pod}/status", {"status": status})

    def add_secrets(self) -> None:
        """Certificates and kubeconfigs, under the names that Karmada's own scripts give them."""
        for name in (*karmada.NEEDED, "etcd", "karmada-apiserver"):
            self.add_certificate(name)
        for name in karmada.NEEDED:
            client = self.authority.issue(f"system:karmada:{name}", "system:masters")
            server = f"https://karmada-apiserver.{NAMESPACE}.svc.cluster.local:5443"
            self.add_kubeconfig(name, self.kubeconfig(client, server))

    def add_certificate(self, component: str, days: float = 3650) -> None:
        """The Secret of a component's own certificate."""
        paths = self.authority.issue(component, days=days)
        data = {"ca.crt": self._ca, "tls.crt": paths[0], "tls.key": paths[1]}
        self._add_secret(f"{component}-cert", {k: p.read_bytes() for k, p in data.items()})

    def add_kubeconfig(self, component: str, text: str) -> None:
        """The Secret of a component's kubeconfig."""
        self._add_secret(f"{component}-config", {"karmada.config": text.encode()})

    def _add_secret(self, name: str, data: dict[str, bytes]) -> None:
        encoded = {key: _base64(value) for key, value in data.items()}
        self.apis["host"].create(SECRETS, {"metadata": {"name": name}, "data": encoded})

    def add_service(self) -> None:
        """That of Karmada's apiserver, with the address where it is."""
        spec = {"clusterIP": SERVICE, "ports": [{"port": PORTS["karmada"]}]}
        self.apis["host"].create(
            f"/api/v1/namespaces/{NAMESPACE}/services",
            {"metadata": {"name": "karmada-apiserver"}, "spec": spec},
        )

    def add_control_plane(self) -> None:
        """All that the release makes of Karmada."""
        for component in COMPONENTS:
            name = f"karmada-{component}"
            self.add_workload(name, f"deploy/{name}.yaml")
        self.add_workload("karmada-apiserver", "deploy/karmada-apiserver.yaml")
        self.add_workload("etcd", "deploy/karmada-etcd.yaml", STATEFUL)
        self.add_secrets()
        self.add_service()

    # --- Karmada's own objects and programs ---

    def add_definitions(self) -> None:
        """The CRDs, and where Cluster objects are served."""
        api = self.apis["karmada"]
        for path in sorted(self._module.glob("charts/karmada/_crds/bases/*/*.yaml")):
            text = path.read_text()
            api.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", text, YAML)
        for namespace in (NAMESPACE, "karmada-cluster"):
            api.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
        name, port = "karmada-aggregated-apiserver", 9443
        there = f"/namespaces/{NAMESPACE}"
        metadata: dict[str, Any] = {"name": name}
        api.create(
            f"/api/v1{there}/services",
            {"metadata": metadata, "spec": {"ports": [{"port": 443, "targetPort": port}]}},
        )
        api.create(
            f"/api/v1{there}/endpoints",
            {
                "metadata": metadata,
                "subsets": [{"addresses": [{"ip": AGGREGATED}], "ports": [{"port": port}]}],
            },
        )
        api.create(
            f"/apis/discovery.k8s.io/v1{there}/endpointslices",
            {
                "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
                "addressType": "IPv4",
                "endpoints": [{"addresses": [AGGREGATED], "conditions": {"ready": True}}],
                "ports": [{"port": port}],
            },
        )
        self.register()

    def register(self) -> None:
        """The APIService, as the release has it."""
        text = (
            self._module / "artifacts/deploy/karmada-aggregated-apiserver-apiservice.yaml"
        ).read_text()
        document = text.split("\n---\n")[0].replace("{{caBundle}}", _base64(self._ca.read_bytes()))
        self.apis["karmada"].create(SERVICES, document, YAML)

    def start_aggregated(self) -> None:
        """What serves Cluster objects."""
        certificate, key = self._server
        config = self.folder / "karmada.config"
        argv = [
            *(f"--{kind}kubeconfig={config}" for kind in ("", "authentication-", "authorization-")),
            "--etcd-servers=http://127.0.0.1:2379",
            f"--tls-cert-file={certificate}",
            f"--tls-private-key-file={key}",
            f"--bind-address={AGGREGATED}",
            "--secure-port=9443",
        ]
        self._start("aggregated-apiserver", argv)
        until("Cluster objects are served", lambda: "items" in self.apis["karmada"].get(CLUSTERS))

    def start_controller_manager(self) -> None:
        """Until it is the leader."""
        self._start(
            "controller-manager",
            [
                f"--kubeconfig={self.folder}/karmada.config",
                "--cluster-status-update-frequency=10s",
                "--metrics-bind-address=127.0.0.1:18080",
                "--health-probe-bind-address=127.0.0.1:10357",
            ],
        )
        self._until_led("karmada-controller-manager")

    def start_scheduler(self) -> None:
        """Until it is the leader."""
        self._start(
            "scheduler",
            [
                f"--kubeconfig={self.folder}/karmada.config",
                "--metrics-bind-address=127.0.0.1:18081",
                "--health-probe-bind-address=127.0.0.1:10351",
            ],
        )
        self._until_led("karmada-scheduler")

    def start_agent(self) -> None:
        """m1 joins by itself, in mode Pull; a controller of Kubernetes makes it a token."""
        self.processes.start(
            "controllers-host",
            [
                self._programs["kube-controller-manager"],
                "--controllers=serviceaccount-token",
                f"--kubeconfig={self.folder}/host.config",
                "--leader-elect=false",
                f"--service-account-private-key-file={self._server[1]}",
                f"--root-ca-file={self._ca}",
            ],
            {},
        )
        self._start(
            "agent",
            [
                f"--karmada-kubeconfig={self.folder}/karmada.config",
                "--karmada-context=karmada-apiserver",
                "--cluster-name=m1",
                f"--cluster-api-endpoint=https://127.0.0.1:{PORTS['host']}",
                "--cluster-status-update-frequency=10s",
                "--metrics-bind-address=127.0.0.1:18082",
                "--health-probe-bind-address=127.0.0.1:10358",
            ],
            KUBECONFIG=str(self.folder / "host.config"),
        )

    def join_m2(self) -> None:
        """What `karmadactl join` makes of a member in mode Push."""
        api = self.apis["karmada"]
        data = {"token": _base64(TOKEN.encode()), "caBundle": _base64(self._ca.read_bytes())}
        secret = {"metadata": {"name": "m2"}, "data": data}
        api.create("/api/v1/namespaces/karmada-cluster/secrets", secret)
        reference = {"namespace": "karmada-cluster", "name": "m2"}
        api.create(
            CLUSTERS,
            {
                "apiVersion": "cluster.karmada.io/v1alpha1",
                "kind": "Cluster",
                "metadata": {"name": "m2"},
                "spec": {
                    "syncMode": "Push",
                    "apiEndpoint": f"https://127.0.0.1:{PORTS['m2']}",
                    "secretRef": reference,
                    "impersonatorSecretRef": reference,
                },
            },
        )

    def ready(self, member: str) -> tuple[str, str]:
        """Status and reason of the member's condition Ready."""
        found = self.apis["karmada"].get(f"{CLUSTERS}/{member}")
        for condition in found.get("status", {}).get("conditions", ()):
            if condition["type"] == "Ready":
                return condition["status"], condition["reason"]
        return "", ""

    def _is_ready(self, member: str) -> bool:
        return self.ready(member)[0] == "True"

    def until_ready(self, *members: str) -> None:
        """Wait for them."""
        for member in members:
            until(f"{member} is Ready", partial(self._is_ready, member))

    def age(self, path: str) -> float:
        """Seconds since a Lease of Karmada's apiserver was renewed."""
        renewed = self.apis["karmada"].get(path)["spec"]["renewTime"]
        return (datetime.now(UTC) - datetime.fromisoformat(renewed)).total_seconds()

    def _start(self, program: str, argv: list[str], **env: str) -> None:
        self.processes.start(program, [self._programs[f"karmada-{program}"], *argv], env)

    def _until_led(self, name: str) -> None:
        path = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{name}"
        api = self.apis["karmada"]

        def led() -> bool:
            return bool(api.get(path).get("spec", {}).get("holderIdentity"))

        until(f"{name} has a leader", led)

    # --- what a master sees ---

    def probe(self, at: str = "host", client: tuple[Path, Path] | None = None) -> str:
        """What the probe prints on a master whose apiserver that is."""
        etc = self.folder / f"etc-{at}-{client[0].stem if client else 'usual'}"
        pki = etc / "pki"
        pki.mkdir(parents=True, exist_ok=True)
        (etc / "kube-apiserver.yaml").write_text(
            f"    - --advertise-address=127.0.0.1\n    - --secure-port={PORTS[at]}\n"
        )
        (pki / "ca.crt").write_bytes(self._ca.read_bytes())
        for source, suffix in zip(client or self.admin, ("crt", "key"), strict=True):
            (pki / f"apiserver-kubelet-client.{suffix}").write_bytes(source.read_bytes())
        script = api_objects.shell(karmada.PROGRAMS) + load_script(ROOT / "facts/federation.sh")
        script = script.replace("/etc/kubernetes/manifests", str(etc))
        script = script.replace("/etc/kubernetes/pki", str(pki))
        done = subprocess.run(
            ["sh"],
            input=script,
            cwd="/",
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        if done.returncode or done.stderr:
            raise RuntimeError(f"the probe ended with {done.returncode}: {done.stderr}")
        return done.stdout


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()

"""The Gateway API's own conformance tests, against the lab's Traefik.

`python -m tests.gateway.conformance` writes docs/gateway-conformance.yaml, the suite's report: it
runs itself with a FOLDER in a network namespace of its own. Traefik, etcd, the apiserver and the
controller of EndpointSlices are real, and so are the suite's backends, built from its module. There
is no kubelet and no kube-proxy: the backends are processes here, each with a network of its own,
and their Pods are stated to the apiserver.

Sources: gateway-api.sigs.k8s.io, "Conformance" (its base manifests, flags and report);
doc.traefik.io, "Kubernetes Gateway API", "EntryPoints".
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from hale.shell import arguments, load_script
from lab.build import cache_root, open_cache
from lab.mirror import binaries, golang, traefik
from tests.federation.apiserver import ADDRESS, PORT, LoneApiserver
from tests.federation.processes import YAML, until

CLASS = "traefik"
TOKEN = "token-of-traefik"  # of an apiserver that ends with the test
PROFILE = "GATEWAY-HTTP"
REPORT = "report.yaml"
RECORDED = Path(__file__).parents[2] / "docs" / "gateway-conformance.yaml"
_BACKENDS = {
    "gateway-conformance-infra": ("infra-backend-v1", "infra-backend-v2", "infra-backend-v3"),
    "gateway-conformance-app-backend": ("app-backend-v1", "app-backend-v2"),
    "gateway-conformance-web-backend": ("web-backend",),
}
#: Features of the profile; those of GRPCRoute and TLSRoute belong to others.
_OF_PROFILE = ("Gateway", "HTTPRoute", "ReferenceGrant")
_LINK = load_script(Path(__file__).with_name("link.sh"))
_NODE = "node"  # of an endpoint's Pod: without one the controller makes no endpoint
_CLASSES = "/apis/gateway.networking.k8s.io/v1/gatewayclasses"
_KINDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


class Conformance:
    """All of it, step by step. programs: by name; kinds: the files of the API's definitions."""

    def __init__(self, folder: Path, programs: dict[str, Path], kinds: list[Path]) -> None:
        self.folder = folder
        self._programs = programs
        self._kinds = kinds
        self._server = LoneApiserver(folder, programs, f"{TOKEN},{CLASS},{CLASS},system:masters\n")
        self.processes = self._server.processes
        self._api = self._server.api

    def start_cluster(self) -> None:
        """The controller of EndpointSlices, and the API's definitions."""
        self._server.until_ready()
        argv: list[str | Path] = [
            self._programs["kube-controller-manager"],
            f"--kubeconfig={self._server.kubeconfig}",
            "--controllers=endpointslice-controller",
            "--leader-elect=false",
        ]
        self.processes.start("controller-manager", argv, {})
        for path in self._kinds:
            self._api.create(_KINDS, path.read_text(), YAML)
        until("the API is served", lambda: bool(self._api.get(_CLASSES)))

    def start_backends(self) -> None:
        """Two replicas of each, as the suite's Deployments ask for, and one that must be alone."""
        self._api.create("/api/v1/nodes", {"metadata": {"name": _NODE}})
        number = 1
        for namespace, services in _BACKENDS.items():
            self._api.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
            for service in services:
                for replica in range(1 if service == "infra-backend-v3" else 2):
                    self._start_backend(namespace, service, f"{service}-pod-{replica}", number)
                    number += 1

    def _start_backend(self, namespace: str, service: str, pod: str, number: int) -> None:
        """In a network namespace of its own, as a kubelet would; and its Pod, which is ready."""
        address = f"198.18.2.{number}"
        name = f"{namespace}-{pod}"
        argv: list[str | Path] = ["unshare", "--net", self._programs["echo-basic"]]
        self.processes.start(name, argv, {"POD_NAME": pod, "NAMESPACE": namespace})
        process = self.processes.number(name)
        own = Path("/proc/self/ns/net").readlink()
        until("it has a network", lambda: Path(f"/proc/{process}/ns/net").readlink() != own)
        link = [str(process), f"pod{number}", address, ADDRESS]
        subprocess.run(["sh", "-ec", arguments(*link) + _LINK], check=True)
        container = {"name": "main", "image": "registry.example/echo-basic:1"}
        pods = f"/api/v1/namespaces/{namespace}/pods"
        self._api.create(
            pods,
            {
                "metadata": {"name": pod, "labels": {"app": service}},
                "spec": {"containers": [container], "nodeName": _NODE},
            },
        )
        status = {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [{"type": "Ready", "status": "True"}],
        }
        self._api.patch(f"{pods}/{pod}/status", {"status": status})

    def start_traefik(self) -> None:
        """The controller, with an entry point for each port of the suite's Gateways."""
        self._api.create(
            _CLASSES,
            {
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "GatewayClass",
                "metadata": {"name": CLASS},
                "spec": {"controllerName": "traefik.io/gateway-controller"},
            },
        )
        argv: list[str | Path] = [
            self._programs["traefik"],
            "--global.checknewversion=false",
            "--global.sendanonymoususage=false",
            "--log.level=INFO",
            *(
                f"--entrypoints.p{port}.address={ADDRESS}:{port}"
                for port in (80, 443, 8080, 8090, 8443)
            ),
            "--providers.kubernetesgateway=true",
            f"--providers.kubernetesgateway.endpoint=https://127.0.0.1:{PORT}",
            f"--providers.kubernetesgateway.token={TOKEN}",
            f"--providers.kubernetesgateway.certauthfilepath={self._server.ca}",
            f"--providers.kubernetesgateway.statusaddress.ip={ADDRESS}",
        ]
        self.processes.start("traefik", argv, {})
        until("Traefik has accepted its class", self._is_accepted)

    def _is_accepted(self) -> bool:
        conditions = self._api.get(f"{_CLASSES}/{CLASS}").get("status", {}).get("conditions", ())
        return any(c["type"] == "Accepted" and c["status"] == "True" for c in conditions)

    def features(self) -> list[str]:
        """Of Gateways and HTTPRoutes, what Traefik itself states that it supports."""
        stated = self._api.get(f"{_CLASSES}/{CLASS}")["status"]["supportedFeatures"]
        return sorted(
            feature["name"] for feature in stated if feature["name"].startswith(_OF_PROFILE)
        )

    def run_suite(self, *options: str) -> None:
        """The suite, with its log in conformance.log; what failed is in its report."""
        argv = [
            str(self._programs["conformance"]),
            "-test.v",
            "-test.timeout=40m",
            f"-gateway-class={CLASS}",
            f"-conformance-profiles={PROFILE}",
            f"-supported-features={','.join(self.features())}",
            "-cleanup-base-resources=false",
            "-organization=traefik",
            "-project=traefik",
            "-url=https://traefik.io/",
            f"-version=v{traefik.version()}",
            "-contact=tests/gateway",
            f"-report-output={self.folder / REPORT}",
            *options,
        ]
        with (self.folder / "conformance.log").open("wb") as log:
            subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"KUBECONFIG": str(self._server.kubeconfig), "HOME": str(self.folder)},
                check=False,
                timeout=2700,
            )


def build() -> tuple[dict[str, Path], list[Path]]:
    """The programs by name, and the API's definitions, built if they are not there."""
    with open_cache(cache_root() / "supply", print) as building:
        kubernetes = golang.build_module(building, binaries.KUBERNETES)
        etcd = golang.build_module(building, binaries.ETCD)
        program = traefik.download_program(building)
    with open_cache(cache_root() / "gateway", print) as building:
        suite = golang.build_module(building, binaries.GATEWAY)
        module = golang.download_module(
            building, binaries.GATEWAY, "sigs.k8s.io/gateway-api", suite.parent
        )
    programs = {
        **{name: kubernetes / name for name in ("kube-apiserver", "kube-controller-manager")},
        "etcd": etcd / "etcd",
        "traefik": program,
        **{name: suite / name for name in ("conformance", "echo-basic")},
    }
    kinds = sorted((module / "config/crd/standard").glob("gateway.networking.k8s.io_[!v]*.yaml"))
    return programs, kinds


def run_in_namespace(folder: Path) -> str:
    """The suite's report. folder: an empty one. Raises CalledProcessError."""
    argv = ["unshare", "--net", sys.executable, "-m", "tests.gateway.conformance", str(folder)]
    subprocess.run(argv, check=True, cwd=RECORDED.parents[1], timeout=3600)
    return (folder / REPORT).read_text()


def record() -> None:
    """Write the report that docs/ has."""
    build()
    with TemporaryDirectory() as folder:
        RECORDED.write_text(run_in_namespace(Path(folder)))


def main() -> None:
    """Run the suite in this namespace. Arguments: an empty folder, options of the suite.

    Without any: run it in a namespace of its own, and write docs/.
    """
    if len(sys.argv) == 1:
        record()
        return
    folder = Path(sys.argv[1])
    run = Conformance(folder, *build())
    try:
        run.start_cluster()
        run.start_backends()
        run.start_traefik()
        run.run_suite(*sys.argv[2:])
    finally:
        run.processes.end_all()


if __name__ == "__main__":
    main()

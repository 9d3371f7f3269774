"""An apiserver on an etcd of its own, alone in a network namespace: no kubelet, no controllers."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.federation.pki import Authority
from tests.federation.processes import Api, Processes, until

# RFC 2544: addresses for tests of devices.
ADDRESS = "198.18.0.50"
PORT = 6443

_KUBECONFIG = """apiVersion: v1
kind: Config
clusters:
- {{name: it, cluster: {{server: "https://127.0.0.1:{port}", certificate-authority: "{ca}"}}}}
users:
- {{name: it, user: {{client-certificate: "{certificate}", client-key: "{key}"}}}}
contexts:
- {{name: it, context: {{cluster: it, user: it}}}}
current-context: it
"""


class LoneApiserver:
    """It runs when this is made, and `end_all` of its processes ends it.

    folder: an empty one, for its data and logs. programs: etcd and kube-apiserver. tokens: lines of
    its file of tokens (kube-apiserver(1), --token-auth-file).
    """

    def __init__(self, folder: Path, programs: Mapping[str, Path], tokens: str = "") -> None:
        self.processes = Processes(folder)
        authority = Authority(folder / "pki")
        self.ca = authority.folder / "ca.crt"
        self.kubeconfig = folder / "kubeconfig"
        admin = authority.issue("admin", "system:masters")
        self.api = Api("127.0.0.1", PORT, self.ca, admin)
        self.kubeconfig.write_text(
            _KUBECONFIG.format(ca=self.ca, certificate=admin[0], key=admin[1], port=PORT)
        )
        for words in (
            ["link", "set", "lo", "up"],
            ["address", "add", f"{ADDRESS}/32", "dev", "lo"],
        ):
            subprocess.run(["ip", *words], check=True)
        etcd: list[str | Path] = [
            programs["etcd"],
            f"--data-dir={folder}/etcd",
            "--unsafe-no-fsync",
        ]
        self.processes.start("etcd", etcd, {})
        certificate, key = authority.issue("server", addresses=("127.0.0.1", ADDRESS))
        (folder / "tokens.csv").write_text(tokens)
        argv: list[str | Path] = [
            programs["kube-apiserver"],
            "--etcd-servers=http://127.0.0.1:2379",
            f"--secure-port={PORT}",
            f"--advertise-address={ADDRESS}",
            "--endpoint-reconciler-type=none",
            f"--tls-cert-file={certificate}",
            f"--tls-private-key-file={key}",
            f"--client-ca-file={self.ca}",
            f"--token-auth-file={folder}/tokens.csv",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={certificate}",
            f"--service-account-signing-key-file={key}",
            "--service-cluster-ip-range=198.19.0.0/24",
            "--authorization-mode=RBAC",
            "--disable-admission-plugins=ServiceAccount",
        ]
        self.processes.start("apiserver", argv, {})

    def until_ready(self) -> None:
        """Wait for it. Raises TimeoutError."""
        until("the apiserver is ready", self.api.answers)

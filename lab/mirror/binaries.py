"""What is built: Kubernetes, etcd, CoreDNS, three programs of the lab's own, and on demand more."""

from __future__ import annotations

from lab.mirror.golang import Module

KUBERNETES_VERSION = "1.34.4"
ETCD_VERSION = "3.6.5"
CONTAINERD_VERSION = "2.4.2"
KUBE_VIP_VERSION = "1.0.0"
KARMADA_VERSION = "1.18.2"
#: Of the stand-in's image, which `invoke install` pulls by this name.
HEADLAMP_VERSION = "0.45.0"

#: Programs of a Kubernetes release, the names `--kube-dir` has them under.
KUBERNETES_PROGRAMS = (
    "kubeadm",
    "kubelet",
    "kubectl",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
)

_MAJOR, _MINOR, _ = KUBERNETES_VERSION.split(".")

KUBERNETES = Module(
    "kubernetes",
    {f"k8s.io/kubernetes/cmd/{name}": name for name in KUBERNETES_PROGRAMS},
    {
        f"{package}.{name}": value
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
        for name, value in {
            "gitVersion": f"v{KUBERNETES_VERSION}",
            "gitMajor": _MAJOR,
            "gitMinor": _MINOR,
            "gitTreeState": "clean",
        }.items()
    },
)

ETCD = Module(
    "etcd",
    {
        "go.etcd.io/etcd/server/v3": "etcd",
        "go.etcd.io/etcd/etcdctl/v3": "etcdctl",
        "go.etcd.io/etcd/etcdutl/v3": "etcdutl",
    },
)

COREDNS = Module("coredns", {"github.com/coredns/coredns": "coredns"})

#: For hosts that are not supplied by Debian, which has containerd 1 (lab/mirror/dnf_host.py).
CONTAINERD = Module(
    "containerd",
    {
        f"github.com/containerd/containerd/v2/cmd/{name}": name
        for name in ("containerd", "containerd-shim-runc-v2", "ctr")
    },
    {"github.com/containerd/containerd/v2/version.Version": f"v{CONTAINERD_VERSION}"},
)

#: For clusters whose VIP it holds (lab/mirror/kube_vip.py).
KUBE_VIP = Module(
    "kube-vip",
    {"github.com/kube-vip/kube-vip": "kube-vip"},
    {"main.Version": f"v{KUBE_VIP_VERSION}"},
)

#: Of Karmada's images and of its command, which only tests use. Five CPU minutes.
KARMADA_IMAGES = tuple(
    f"karmada-{name}"
    for name in ("aggregated-apiserver", "controller-manager", "scheduler", "webhook", "agent")
)
KARMADA = Module(
    "karmada",
    {
        f"github.com/karmada-io/karmada/cmd/{name.removeprefix('karmada-')}": name
        for name in (*KARMADA_IMAGES, "karmadactl")
    },
    {"github.com/karmada-io/karmada/pkg/version.gitVersion": f"v{KARMADA_VERSION}"},
)

#: The conformance tests of the Gateway API and their backend, which only tests use.
GATEWAY = Module(
    "gateway",
    {
        "./conformance": "conformance",
        "sigs.k8s.io/gateway-api/conformance/echo-basic": "echo-basic",
    },
)

TOOLS = Module("tools", {f"./{name}": name for name in ("pause", "echo", "headlamp")})

"""Faults of a cluster whose VIP kube-vip holds; those of endpoint.py are of keepalived's."""

from facts.parsers.vip_config import KUBE_VIP
from lab.faults.fault import fail
from lab.mirror.kube_vip import PORT
from lab.topology import VIP
from tests.cluster.faults.fault import (
    EVERY,
    FIRST,
    MASTERS,
    SECOND,
    THIRD,
    ClusterFault,
    Steps,
    each,
    gone,
)

OWNER = "HA-VIP-OWNER runtime @cluster"
AT_BOOT = "HA-VIP-OWNER persisted @cluster"


def _without(*hosts: str) -> tuple[Steps, Steps]:
    """Their manifests away, and back."""
    return (
        tuple((host, f"mv {KUBE_VIP} /root/") for host in hosts)
        + tuple((host, gone("kube-vip")) for host in hosts),
        tuple((host, f"mv /root/kube-vip.yaml {KUBE_VIP}") for host in hosts),
    )


FAULTS = (
    ClusterFault(
        "kube-vip is not on one master",
        THIRD,
        *_without(THIRD),
        turns={
            OWNER: fail(f"{THIRD}: kube-vip does not run"),
            AT_BOOT: fail(f"{THIRD}: there is no {KUBE_VIP}"),
        },
    ),
    ClusterFault(
        "kube-vip is on no master",
        FIRST,
        *_without(*MASTERS),
        turns={
            OWNER: fail(f"no master holds the VIP {VIP}"),
            AT_BOOT: fail(f"{FIRST}: there is no {KUBE_VIP}"),
            **each(EVERY, "HA-APISERVER-VIP runtime", fail(f"https://{VIP}:{PORT}/livez: n")),
            **each(MASTERS, "CMP-KUBECTL runtime", fail("kubectl does not reach the cluster")),
        },
    ),
    ClusterFault(
        "one master's kube-vip is for another address",
        THIRD,
        ((THIRD, f"cp -p {KUBE_VIP} /root/ && sed -i s/{VIP}/10.208.1.189/ {KUBE_VIP}"),),
        ((THIRD, f"mv /root/kube-vip.yaml {KUBE_VIP}"),),
        turns={AT_BOOT: fail(f"{THIRD}: {KUBE_VIP} does not name the VIP {VIP}")},
    ),
    ClusterFault(
        "two masters hold the VIP, and kube-vip has given it to one",
        FIRST,
        tuple(
            (host, f"ip -br addr | grep -q {VIP} || ip address add {VIP}/32 dev lo")
            for host in (SECOND, THIRD)
        ),
        tuple((host, f"ip address del {VIP}/32 dev lo || true") for host in (SECOND, THIRD)),
        turns={OWNER: fail(f"hold the VIP {VIP} at once")},
    ),
    ClusterFault(
        "the owner's kube-vip hangs, and another one takes the VIP besides",
        FIRST,
        tuple((host, f"! ip -br addr | grep -q {VIP} || pkill -STOP -x kube-vip")
              for host in MASTERS),
        tuple((host, "pkill -CONT -x kube-vip") for host in MASTERS),
        turns={OWNER: fail(f"hold the VIP {VIP} at once")},
    ),
)  # fmt: skip

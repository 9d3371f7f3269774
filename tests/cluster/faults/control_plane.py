"""Faults of the control plane: etcd, apiserver, leaders, kubectl, static manifests."""

from lab.faults.fault import ExpectedResult, fail, unknown
from tests.cluster.faults.fault import (
    DRIFT,
    FIRST,
    KUBECTL,
    LEADERS,
    MANIFESTS,
    MASTERS,
    SECOND,
    THIRD,
    ClusterFault,
    down_for_everybody,
    each,
    hanging,
    missing,
    on,
    without_manifest,
)

PKI = "/etc/kubernetes/pki/etcd"
# etcd's gateway: what etcdctl would say, which the hosts do not have.
ETCD = (
    f"curl -sSf --cacert {PKI}/ca.crt --cert {PKI}/healthcheck-client.crt"
    f" --key {PKI}/healthcheck-client.key https://127.0.0.1:2379/v3"
)
BY_ID = '"{\\"ID\\":\\"$id\\"}"'
GHOST = "/run/ghost"  # the number of a member that a fault added
ROLES = "/run/scheduler-roles.yaml"
UNHEALTHY = {"HA-APISERVER-EACH runtime": fail("not ready: etcd"), **down_for_everybody(THIRD)}


def numbered(name: str) -> str:
    """Shell that finds a member's number by its name."""
    listed = f"{ETCD}/cluster/member/list -d '{{}}'"
    return f'{listed} | grep -o \'"ID":"[0-9]*", *"name":"{name}"\' | grep -o "[0-9]*" | head -n 1'


def alarm(action: str, what: str) -> str:
    """Raise or end an alarm of this master's member."""
    body = f'{{\\"action\\":\\"{action}\\",\\"memberID\\":\\"$id\\",\\"alarm\\":\\"{what}\\"}}'
    return f'id=$({numbered(THIRD)}) && {ETCD}/maintenance/alarm -d "{body}"'


ETCD_FAULTS = (
    ClusterFault(
        "one etcd hangs",
        THIRD,
        **hanging(THIRD, "etcd"),
        turns={
            "HA-ETCD-MEMBERS runtime @cluster": fail(f"{THIRD}: etcd gives no answer in time"),
            "HA-APISERVER-EACH runtime": fail("https://10.208.1.195:6443/readyz?verbose: "),
            "ETCD-SIZE runtime": unknown("etcd's metrics: no answer in time"),
            "CERT-SERVED runtime": unknown("etcd at 127.0.0.1:2379 shows no certificate"),
            **down_for_everybody(THIRD),
        },
        may=LEADERS,
    ),
    ClusterFault(
        "one etcd is down",
        THIRD,
        **without_manifest(THIRD, "etcd"),
        turns={
            "HA-ETCD-MEMBERS runtime @cluster": fail(f"{THIRD}: no etcd: nothing listens on 2379"),
            "HA-APISERVER-EACH runtime": fail("https://10.208.1.195:6443/readyz?verbose: "),
            **down_for_everybody(THIRD),
            **missing(THIRD, "etcd"),
            "NODE-PORTS-MASTER runtime": fail("2379, 2380"),
            "ETCD-SIZE runtime": ExpectedResult("N-A", "this host has no etcd yet"),
        },
        may=LEADERS,
    ),
    ClusterFault(
        "a member of etcd was removed",
        THIRD,
        inject=(
            (
                FIRST,
                f"id=$({numbered(THIRD)}) && {ETCD}/cluster/member/remove -d {BY_ID}",
            ),
        ),
        undo=(
            (
                THIRD,
                f"mv {MANIFESTS}/etcd.yaml /root/; sleep 3; pkill -KILL -x etcd;"
                " rm -rf /var/lib/etcd/member",
            ),
            (
                FIRST,
                f'[ -n "$({numbered(THIRD)})" ] || {ETCD}/cluster/member/add'
                ' -d \'{"peerURLs":["https://10.208.1.195:2380"]}\'',
            ),
            (THIRD, f"mv /root/etcd.yaml {MANIFESTS}/"),
        ),
        turns={
            "HA-ETCD-MEMBERS runtime @cluster": fail(f"{THIRD}: "),
            "HA-APISERVER-EACH runtime": fail("https://10.208.1.195:6443/readyz?verbose: "),
            **down_for_everybody(THIRD),
        },
        may=(*LEADERS, "NODE-PORTS-MASTER runtime", "ETCD-SIZE runtime", "CERT-SERVED runtime"),
    ),
    ClusterFault(
        "a learner that never started",
        FIRST,
        **on(
            FIRST,
            f"{ETCD}/cluster/member/add"
            ' -d \'{"peerURLs":["https://10.208.1.77:2380"],"isLearner":true}\''
            f' | grep -o \'"member":{{"ID":"[0-9]*\' | grep -o \'[0-9]*\' >{GHOST}',
            f"id=$(cat {GHOST}) && {ETCD}/cluster/member/remove -d {BY_ID}; rm {GHOST}",
        ),
        turns={"HA-ETCD-MEMBERS runtime @cluster": fail("does not vote: it is a learner")},
    ),
    ClusterFault(
        "etcd is out of space",
        THIRD,
        **on(THIRD, alarm("ACTIVATE", "NOSPACE"), alarm("DEACTIVATE", "NOSPACE")),
        turns={
            "HA-ETCD-MEMBERS runtime @cluster": fail("NOSPACE"),
            **each(MASTERS, "ETCD-SIZE runtime", fail("etcd reports ALARM NOSPACE")),
        },
        may=(
            *LEADERS,
            *(f"HA-APISERVER-EACH runtime @{host}" for host in MASTERS),
            *(f"HA-LB-BACKENDS runtime @{host}" for host in MASTERS),
        ),
    ),
    ClusterFault(
        "etcd's database is near its quota",
        THIRD,
        **on(
            THIRD,
            f"""
            quota=$(curl -sS http://127.0.0.1:2381/metrics |
              awk '/^etcd_mvcc_db_total_size_in_bytes /{{printf "%d", $2 * 1.2}}') &&
            cp -p {MANIFESTS}/etcd.yaml /root/ &&
            sed -i "s/^    - --data-dir=.*/&\\n    - --quota-backend-bytes=$quota/" \
              {MANIFESTS}/etcd.yaml""",
            f"mv /root/etcd.yaml {MANIFESTS}/",
        ),
        turns={
            "ETCD-SIZE runtime": fail("% of its quota ("),
            DRIFT: fail("etcd.yaml has quota-backend-bytes="),
        },
        may=LEADERS,
    ),
    ClusterFault(
        "etcd's disk is slow",
        THIRD,
        # Halted for 40 ms again and again, most of its writes take that long.
        **on(
            THIRD,
            "pid=$(pgrep -x etcd) && for n in $(seq 250); do"
            " kill -STOP $pid; sleep 0.04; kill -CONT $pid; sleep 0.02; done",
            "pkill -CONT -x etcd; pkill -TERM -x etcd",
        ),
        turns={"ETCD-FSYNC runtime": fail("of etcd's log since its start took up to")},
        may=LEADERS,
    ),
)

APISERVER_FAULTS = (
    ClusterFault(
        "one apiserver hangs",
        THIRD,
        **hanging(THIRD, "kube-apiserver"),
        turns={
            "HA-APISERVER-EACH runtime": fail("no answer in time"),
            "CERT-SERVED runtime": unknown("kube-apiserver at 127.0.0.1:6443 shows no certificate"),
            **down_for_everybody(THIRD),
        },
        may=LEADERS,
    ),
    ClusterFault(
        "one apiserver is down",
        THIRD,
        **without_manifest(THIRD, "kube-apiserver"),
        turns={
            "HA-APISERVER-EACH runtime": fail("no apiserver: there is no"),
            **down_for_everybody(THIRD),
            **missing(THIRD, "kube-apiserver"),
            "NODE-PORTS-MASTER runtime": fail("nothing listens on 6443"),
        },
        may=LEADERS,
    ),
    ClusterFault(
        "a flag of one scheduler was changed by hand",
        THIRD,
        **on(
            THIRD,
            f"cp -p {MANIFESTS}/kube-scheduler.yaml /root/ &&"
            " sed -i 's/^    - --leader-elect=true/&\\n    - --v=1/'"
            f" {MANIFESTS}/kube-scheduler.yaml",
            f"mv /root/kube-scheduler.yaml {MANIFESTS}/",
        ),
        turns={"CP-MANIFEST-DRIFT runtime @cluster": fail("kube-scheduler.yaml has v=1")},
        may=("HA-SCHEDULER runtime @cluster", "NODE-PORTS-MASTER runtime"),
    ),
    ClusterFault(
        "kubectl has no kubeconfig",
        SECOND,
        **on(
            SECOND,
            "mv /etc/kubernetes/admin.conf /root/",
            "mv /root/admin.conf /etc/kubernetes/",
        ),
        turns={
            "CMP-KUBECTL runtime": fail("there is no /etc/kubernetes/admin.conf"),
            "CERT-KUBECONFIG runtime": fail("there is no /etc/kubernetes/admin.conf"),
        },
    ),
)

COPY_FAULTS = (
    ClusterFault(
        "a copy lies beside a static manifest",
        THIRD,
        **on(
            THIRD,
            f"cp -p {MANIFESTS}/kube-scheduler.yaml {MANIFESTS}/kube-scheduler.yaml.bak",
            f"rm {MANIFESTS}/kube-scheduler.yaml.bak",
        ),
        turns={DRIFT: fail(f"{THIRD}: {MANIFESTS}/kube-scheduler.yaml.bak is a second manifest")},
        # The kubelet may start the scheduler again, from the other file.
        may=("HA-SCHEDULER runtime @cluster", "NODE-PORTS-MASTER runtime"),
    ),
)

LEADER_FAULTS = (
    ClusterFault(
        "one scheduler is down",
        THIRD,
        **without_manifest(THIRD, "kube-scheduler"),
        turns={
            "HA-SCHEDULER runtime @cluster": fail(f"{THIRD}: kube-scheduler does not run"),
            **missing(THIRD, "kube-scheduler"),
            "NODE-PORTS-MASTER runtime": fail("nothing listens on 10259"),
        },
    ),
    ClusterFault(
        "one controller-manager hangs",
        THIRD,
        **hanging(THIRD, "kube-controller-manager"),
        turns={
            "HA-CONTROLLER-MANAGER runtime @cluster": fail(
                f"{THIRD}: kube-controller-manager runs, but gives no answer in time"
            )
        },
    ),
    ClusterFault(
        "no scheduler leads",
        FIRST,
        inject=(
            *((host, "pkill -STOP -x kube-scheduler") for host in MASTERS),
            (FIRST, f"{KUBECTL} -n kube-system delete lease kube-scheduler"),
        ),
        undo=tuple((host, "pkill -CONT -x kube-scheduler") for host in MASTERS),
        turns={"HA-SCHEDULER runtime @cluster": fail("no leader: the lease kube-system/")},
    ),
    ClusterFault(
        "the scheduler may not renew its lease",
        FIRST,
        **on(
            FIRST,
            f"""
            {KUBECTL} get clusterrolebinding system:kube-scheduler -o yaml >{ROLES} &&
            echo --- >>{ROLES} && {KUBECTL} -n kube-system get rolebinding \
              system::leader-locking-kube-scheduler -o yaml >>{ROLES} &&
            sed -i '/resourceVersion:/d; /uid:/d; /creationTimestamp:/d' {ROLES} &&
            {KUBECTL} delete -f {ROLES} && sleep 16""",
            f"{KUBECTL} apply -f {ROLES}; rm {ROLES}",
        ),
        turns={"HA-SCHEDULER runtime @cluster": fail("leads, and renewed its lease")},
    ),
)

FAULTS = (*ETCD_FAULTS, *APISERVER_FAULTS, *COPY_FAULTS, *LEADER_FAULTS)

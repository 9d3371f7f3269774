"""On a cluster that Hale did not build: a host that only looks half-joined is not reset."""

from tests.stranger.stranger_fixture import Stranger

# Of what `kubeadm reset` removes and stops.
KEPT = """
find /etc/kubernetes /var/lib/kubelet/pki /var/lib/kubelet/config.yaml -type f -exec sha256sum {} +
find /srv -type f -exec sha256sum {} +
systemctl show -p MainPID -p ActiveState kubelet
"""


def test_a_node_whose_object_was_deleted_is_refused(stranger: Stranger) -> None:
    """Its kubelet is healthy, and a restart would register it again."""
    host = stranger.lab.hosts[-1]
    stranger.kubectl(f"delete node {host.name} --wait")
    before = host.run(KEPT).stdout
    try:
        done = stranger.install()
        assert host.run(KEPT).stdout == before
        steps = [a.title for history in stranger.histories() for a in history.acts]
        assert steps == []
        assert done.returncode == 1, done.stdout[-3000:] + done.stderr[-2000:]
        assert (
            f"{host.name}: kubeadm's files are there (/etc/kubernetes/kubelet.conf" in done.stdout
        )
        assert "Hale's note that it has begun a kubeadm join there, does not exist" in done.stdout
        assert "Nothing was changed" in done.stdout
    finally:
        host.run("systemctl restart kubelet")
        stranger.kubectl(f"wait --for=create --timeout=300s node/{host.name}")
        stranger.kubectl(f"wait --for=condition=Ready --timeout=300s node/{host.name}")

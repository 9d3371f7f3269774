"""The end of an install: what joins have used is deleted from the cluster, not left to expire.

Source: kubernetes.io, "Creating Highly Available Clusters with kubeadm": both last two hours.
"""

from pathlib import Path

from hale.install.cluster_context import ClusterContext
from hale.install.secrets import CERTIFICATES, TOKEN
from hale.inventory.cluster_spec import ADMIN
from hale.shell import script_with
from hale.ssh import RemoteError, SessionPool

TIMEOUT = 30.0  # seconds
SCRIPT = Path(__file__).with_name("revoke.sh")
KUBECTL = f"kubectl --kubeconfig {ADMIN} --namespace kube-system --request-timeout 10s"


def revoke(context: ClusterContext, sessions: SessionPool) -> str:
    """Delete this run's token and encrypted certificates, where it may have uploaded them.

    Returns why they could not be deleted, "" if nothing remains.
    """
    secrets = context.secrets
    if not secrets.attempted:
        return ""
    script = script_with(
        SCRIPT,
        kubectl=KUBECTL,
        token=secrets.token.reveal().partition(".")[0] if TOKEN in secrets.attempted else "",
        certificates="yes" if CERTIFICATES in secrets.attempted else "",
    )
    try:
        done = sessions.session(context.first_control_plane.name).run(script, TIMEOUT)
    except RemoteError as error:
        return str(error)
    if done.exit_status == 0:
        secrets.uploaded.clear()
        secrets.attempted.clear()
        return ""
    return secrets.redact(done.stderr.decode(errors="replace").strip()) or "kubectl failed"

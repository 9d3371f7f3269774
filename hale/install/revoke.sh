# Delete what joins have used: the bootstrap token, and the certificates with the token that limits
# their time (kubeadm init phase upload-certs). kubectl: the command, as admin. token: its id.
# certificates: not empty if this run has uploaded them.
owner=
if [ -n "$certificates" ]; then
  # shellcheck disable=SC2086  # words of a command
  owner=$($kubectl get secret kubeadm-certs --ignore-not-found \
    -o 'jsonpath={.metadata.ownerReferences[*].name}')
fi
# shellcheck disable=SC2086  # words of a command, names
$kubectl delete secret --ignore-not-found ${token:+"bootstrap-token-$token"} \
  ${certificates:+kubeadm-certs} $owner

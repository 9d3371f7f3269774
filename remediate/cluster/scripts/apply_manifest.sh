# shellcheck disable=SC2086  # words of a command
# Apply a manifest once, and note it. What the apiserver refuses while etcd elects a leader is tried
# again. Reads the manifest from standard input.
# kubectl: the command, with its options. notes: their ConfigMap. key: of this manifest's
# annotation there. applying, digest: its values before and after.
given=$(cat)
try() { n=0; until "$@"; do n=$((n + 1)); [ $n -lt 5 ] || exit 1; sleep 2; done; }
book() {
  printf '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"%s","namespace":"kube-system"}}' \
    "$notes" | $kubectl apply --server-side -f - >/dev/null
}
note() { $kubectl -n kube-system annotate --overwrite configmap "$notes" "$key=$1" >/dev/null; }
apply() { printf '%s\n' "$given" | $kubectl apply --server-side --force-conflicts -f /dev/stdin; }
try book
try note "$applying"
try apply
try note "$digest"

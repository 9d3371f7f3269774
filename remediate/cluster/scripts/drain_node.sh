# Drain a node that is about to leave the cluster, by eviction: a PodDisruptionBudget may refuse it.
# If pods stay, the node stays too, schedulable as before.
# Arguments: kubectl with its options. node: its name. timeout: in seconds. more: options of drain.
# Pods of a node that does not answer are terminating for good; they are not waited for.
found=$("$@" get node "$node" --ignore-not-found -o 'jsonpath={.metadata.name} {.spec.unschedulable}') || exit
[ -n "$found" ] || exit 0
# shellcheck disable=SC2086  # options
"$@" drain "$node" --ignore-daemonsets --delete-emptydir-data --force --timeout="${timeout}s" \
  --skip-wait-for-delete-timeout=60 $more || {
  [ "$found" = "$node true" ] || "$@" uncordon "$node" || :
  echo "$node was not drained within $timeout s, so it stays in the cluster." \
    "--disable-eviction deletes its pods whatever their budgets" >&2
  exit 1
}

# Drain a node that is about to leave the cluster, by eviction: a PodDisruptionBudget may refuse it.
# If pods stay, the node stays too, schedulable as before.
# Arguments: kubectl with its options. node: its name. timeout: in seconds. more: options of drain.
# Pods of a node that does not answer are terminating for good. kubectl waits for them until 20 s
# after the end of their grace period (their DeletionTimestamp), which is 30 s by default: less than
# the timeout.
found=$("$@" get node "$node" --ignore-not-found -o 'jsonpath={.metadata.name} {.spec.unschedulable}') || exit
[ -n "$found" ] || exit 0
# shellcheck disable=SC2086  # options
"$@" drain "$node" --ignore-daemonsets --delete-emptydir-data --force --timeout="${timeout}s" \
  --skip-wait-for-delete-timeout=20 $more || {
  if [ "$found" = "$node true" ]; then
    echo "$node was cordoned before, and stays so: kubectl uncordon $node" >&2
  else
    "$@" uncordon "$node" || echo "$node is still cordoned: kubectl uncordon $node" >&2
  fi
  echo "$node was not drained, so it stays in the cluster; the reason is above. Pods have $timeout s" \
    "to end. --disable-eviction deletes them whatever their budgets" >&2
  exit 1
}

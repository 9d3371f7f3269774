# After hale/apply/karmada_client.sh. Given: socket and errors (files). Then health_poll.sh. The
# kubeconfig is removed as soon as kubectl has read it.
now; echo "begin $now"
rm -f "$socket"
karmada proxy --unix-socket="$socket" >/dev/null 2>"$errors" &
n=0
while [ ! -S "$socket" ] && [ $n -lt 40 ]; do sleep 0.5; n=$((n + 1)); done
rm -rf -- "$memory"

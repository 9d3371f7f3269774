# The state of containerd's CRI plugin as `cri STATE`, `absent` where it has none, and why it did not
# load as `why MESSAGE`. Nothing where containerd does not answer.
[ -S /run/containerd/containerd.sock ] && command -v ctr >/dev/null || exit 0
plugins=$(ctr --connect-timeout 5s plugins ls 2>/dev/null) || exit 0
printf '%s\n' "$plugins" | awk '
  $1 == "io.containerd.grpc.v1" && $2 == "cri" { state = $NF }
  END { print "cri " (state ? state : "absent") }'
ctr --connect-timeout 5s plugins ls -d id==cri 2>/dev/null |
  sed -n 's/^[[:space:]]*Message:[[:space:]]*/why /p' | head -n 1

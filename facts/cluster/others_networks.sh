# Tells networks of other programs from the cluster's. others_cni: names in /etc/cni/net.d of programs
# that have containers without Kubernetes, as an extended regular expression.
: "${cni_conf:=/etc/cni/net.d}"
# is_others_cni FILE: by its name, or by what podman and nerdctl write into every network of theirs.
is_others_cni() {
  echo "${1##*/}" | grep -qE "$others_cni" || grep -qsE 'podman|nerdctl' "$1"
}
# of_others KEY: its values in those files, a line each: `name` for networks, `bridge` for interfaces.
of_others() {
  for conf in "$cni_conf"/*; do
    if [ ! -f "$conf" ] || ! is_others_cni "$conf"; then continue; fi
    grep -oE "\"$1\"[[:space:]]*:[[:space:]]*\"[^\"]*\"" "$conf" | sed 's/"$//; s/.*"//'
  done
}
# own_chains RULES: $chains without those of CNI plugins, if a network of others has rules in them.
own_chains() {
  for network in $(of_others name); do
    case $1 in *"name: \\\"$network\\\""*) echo "$chains" | sed 's/CNI-|//'; return;; esac
  done
  echo "$chains"
}
# own_tables: of `nft list tables`, those of the cluster.
own_tables() {
  own=$tables
  [ -z "$(of_others name)" ] || own=$(echo "$tables" | sed 's/|cni_hostport//')
  nft list tables 2>/dev/null | grep -E "^table [a-z0-9]+ ($own)\$"
}
# is_used NETNS: whether a process runs in it. After the cluster's containers, that is another's.
is_used() {
  inode=$(stat -Lc %i -- "$1") || return 0
  readlink /proc/[0-9]*/ns/net 2>/dev/null | grep -qxF "net:[$inode]"
}

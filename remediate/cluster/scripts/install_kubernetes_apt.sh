# After apt.sh: install Kubernetes' packages at one version, and hold them there.
# Arguments: the other packages. pinned: names of packages. version, and pattern, an extended
# regular expression of it. list: the only list of repositories to refresh; empty for all.
dpkg --configure -a
echo "refreshing the repository"
apt_get ${list:+-o "Dir::Etc::sourcelist=$list" -o Dir::Etc::sourceparts=- \
  -o APT::Get::List-Cleanup=0} -o Acquire::Retries=2 -o APT::Update::Error-Mode=any update
# shellcheck disable=SC2086  # names
there=$(apt-cache madison $pinned kubernetes-cni)
versions() { printf '%s\n' "$there" | awk -v name="$1" '$1 == name {print $3}'; }
pick() {
  has=$(versions "$1")
  printf '%s\n' "$has" | grep -E "^([0-9]+:)?$pattern([-+~]|\$)" | head -n 1 |
    grep . || {
    # shellcheck disable=SC2086,SC2116  # all on one line
    echo "no $1 $version in the repository; it has: $(echo $has)" >&2
    exit 44
  }
}
for name in $pinned; do
  picked=$(pick "$name")
  set -- "$@" "$name=$picked"
done
plugins=containernetworking-plugins
[ -z "$(versions kubernetes-cni)" ] || plugins=kubernetes-cni
echo "installing"
apt_install --allow-change-held-packages --allow-downgrades "$@" "$plugins"
echo "holding $pinned"
# shellcheck disable=SC2086  # names
apt-mark -qq hold $pinned

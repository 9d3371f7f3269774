# After apt.sh: install Kubernetes' packages at one version, and hold them there.
# Arguments: the other packages that are missing. pinned: names of packages. version, and pattern,
# an extended regular expression of it. held: names of other packages to hold where they are
# installed here. list: the only list of repositories to refresh; empty for all.
wait_for_apt
dpkg --configure -a
echo "refreshing the repository"
apt_get ${list:+-o "Dir::Etc::sourcelist=$list" -o Dir::Etc::sourceparts=- \
  -o APT::Get::List-Cleanup=0} -o Acquire::Retries=2 -o APT::Update::Error-Mode=any update
refresh_if_missing "$@"
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
hold=
for name; do case " $held " in *" $name "*) hold="$hold $name" ;; esac; done
for name in $pinned; do
  picked=$(pick "$name")
  set -- "$@" "$name=$picked"
done
plugins=containernetworking-plugins
[ -z "$(versions kubernetes-cni)" ] || plugins=kubernetes-cni
# What is installed is not upgraded.
if dpkg-query -W -f='${db:Status-Abbrev}\n' kubernetes-cni containernetworking-plugins 2>/dev/null |
  grep -q '^[hi]i'
then plugins=; fi
# shellcheck disable=SC2086  # one name or none
set -- "$@" $plugins
echo "installing"
apt_install --allow-change-held-packages --allow-downgrades "$@"
echo "holding $pinned$hold $plugins"
# shellcheck disable=SC2086  # names
apt-mark -qq hold $pinned$hold $plugins

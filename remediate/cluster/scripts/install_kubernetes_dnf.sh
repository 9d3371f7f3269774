# After dnf_hold.sh and remember_packages.sh: install Kubernetes' packages at one version, and hold
# them there, with the others of `held` that are installed here. From Hale's repository, dnf excludes
# them from updates besides (WriteFile of REPO).
# Arguments: the other packages. pinned: names of packages. version, and pattern, an extended
# regular expression of it. repository: the name of Hale's. own: `yes` where the site has set one.
# runtime: packages that are missing, or empty; other_runtime: the package where dnf lacks those.
# record: the file with the packages that Hale has installed, and those that were not there before.
echo "refreshing the repository"
# dnf.conf(5): a site may have set skip_if_unavailable to 1.
[ -z "$own" ] || dnf -q -y --disablerepo='*' --enablerepo="$repository" \
  --setopt="$repository.skip_if_unavailable=0" --refresh makecache
for name in $pinned; do
  has=$(dnf -q --disableexcludes="$repository" list --showduplicates "$name" 2>/dev/null |
    awk '$1 ~ /^kube/ {print $2}')
  printf '%s\n' "$has" | grep -qE "^([0-9]+:)?$pattern-" || {
    # shellcheck disable=SC2086,SC2116  # all on one line
    echo "no $name $version in the repository; it has: $(echo $has)" >&2
    exit 44
  }
  set -- "$@" "$name-$version"
done
outdated=
for name in $pinned; do
  ! is_installed "$name" || is_installed "$name-$version" || outdated="$outdated $name"
done
# shellcheck disable=SC2086  # names
[ -z "$outdated" ] || dnf_release $outdated
[ -z "$runtime" ] || dnf -q list containerd >/dev/null 2>&1 || runtime=$other_runtime
echo "installing"
# shellcheck disable=SC2086  # names
dnf -q -y --disableexcludes="$repository" install "$@" $runtime
for name in $held; do
  ! is_installed "$name" || ! grep -qsxF -- "$name" "$record" || pinned="$pinned $name"
done
echo "holding $pinned"
# shellcheck disable=SC2086  # names
dnf_hold $pinned

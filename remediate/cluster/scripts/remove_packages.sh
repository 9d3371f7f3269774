# Remove those of the packages that Hale has installed. After is_installed.sh and dnf_hold.sh.
# names: the packages, held or not. record: the file with those of Hale, a name a line. repository:
# the name of Hale's. An installation by an earlier release has no record: it removes nothing. Nor
# does a host on which other packages need them (docker-ce: containerd.io). haproxy and keepalived
# that still run, after stop_load_balancer.sh, are the site's.
[ -e "$record" ] || echo "note: no $record: which packages Hale installed is unknown, so all stay"
ours= others= held=
for name in $names; do
  is_installed "$name" || continue
  grep -qsxF -- "$name" "$record" || {
    others="$others $name"
    continue
  }
  case $name in haproxy | keepalived) ! systemctl -q is-active "$name" || continue ;; esac
  ours="$ours $name"
done
[ -z "$others" ] || echo "note: not in Hale's record, so they stay:$others"
# shellcheck disable=SC2086  # names
[ -z "$ours" ] || if command -v apt-get >/dev/null; then
  held=$(apt-mark showhold $ours 2>/dev/null)
  apt-mark -qq unhold $ours >/dev/null 2>&1 || :
  needed=$(LC_ALL=C dpkg --simulate --purge $ours 2>&1)
else
  needed=$(LC_ALL=C rpm -e --test $ours 2>&1)
fi || {
  # shellcheck disable=SC2086  # names
  [ -z "$held" ] || apt-mark -qq hold $held >/dev/null
  printf '%s\n' "$needed" "other packages need what Hale installed, so no package was removed." \
    "Remove those first, then run the command again" >&2
  exit 1
}
case " $ours " in *' containerd '* | *' containerd.io '*)
  systemctl -q disable --now containerd 2>/dev/null || : ;;
esac
# shellcheck disable=SC2086  # names
if [ -z "$ours" ]; then :
elif command -v apt-get >/dev/null; then
  DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=120 purge $ours
else
  dnf_release $ours
  dnf -q -y --disableexcludes="$repository" remove $ours
fi
rm -f "/etc/apt/keyrings/$repository".* "$record"

# Remove those of the packages that Hale has installed. After is_installed.sh and dnf_hold.sh.
# names: the packages, held or not. record: the file with those of Hale, a name a line. repository:
# the name of Hale's. An installation by an earlier release has no record: it removes nothing. Nor
# does a host on which other packages need them (docker-ce: containerd.io). haproxy and keepalived
# that still run, after stop_load_balancer.sh, are the site's. A package with configuration files that
# the site has edited is removed and not purged, so that these stay; rpm renames them to .rpmsave, and
# they get their names back. written: as of write_file.sh.
# keepalived: its configuration, which is in no list of dpkg's.
# edited PACKAGE: its configuration files that neither dpkg nor Hale has written.
edited() {
  {
    dpkg-query -W -f '${Conffiles}\n' "$1" 2>/dev/null
    [ "$1" != keepalived ] || echo "$keepalived unknown"
  } | while read -r file md5 _; do
    [ -f "$file" ] || continue
    sum=$(md5sum <"$file")
    [ "${sum%% *}" != "$md5" ] || continue
    sum=$(sha256sum <"$file")
    grep -qsxF "${sum%% *}" "$written$file" || echo "$file"
  done
}
# rpm_changed PACKAGE: it and each of its configuration files that is not as packaged (rpm(8), VERIFY).
rpm_changed() {
  LC_ALL=C rpm -V --nodeps --noscripts "$1" 2>/dev/null |
    sed -n "s|^..5...... *c /|$1 /|p"
}
# restore_edited: for each line of rpm_changed, after the removal.
restore_edited() {
  while read -r name file; do
    saved=$file.rpmsave
    [ -n "$file" ] && [ -f "$saved" ] || continue
    sum=$(sha256sum <"$saved")
    if grep -qsxF "${sum%% *}" "$written$file"; then
      rm -f -- "$saved"
      continue
    fi
    [ -e "$file" ] || [ -L "$file" ] || { mv -T -- "$saved" "$file" && saved=$file; }
    echo "note: $name is removed, and its files that were edited stay: $saved"
  done
}
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
  purged= kept=
  for name in $ours; do
    files=$(edited "$name")
    [ -n "$files" ] || { purged="$purged $name"; continue; }
    kept="$kept $name"
    echo "note: $name is removed, and its files that were edited stay:" $files
  done
  export DEBIAN_FRONTEND=noninteractive
  [ -z "$kept" ] || apt-get -qq -y -o DPkg::Lock::Timeout=120 remove $kept
  [ -z "$purged" ] || apt-get -qq -y -o DPkg::Lock::Timeout=120 purge $purged
else
  dnf_release $ours
  changed=$(for name in $ours; do rpm_changed "$name"; done)
  dnf -q -y --disableexcludes="$repository" remove $ours
  printf '%s\n' "$changed" | restore_edited
fi
rm -f "/etc/apt/keyrings/$repository".* "$record"

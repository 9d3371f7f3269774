# Remove those of the packages that Hale has installed. After is_installed.sh.
# names: the packages, held or not. record: the file with those of Hale, a name a line. repository:
# the name of Hale's. An installation by an earlier release has no record: it removes nothing.
[ -e "$record" ] || echo "no $record: which packages Hale installed is unknown, so all stay"
ours=
for name in $names; do
  ! grep -qsxF -- "$name" "$record" || ! is_installed "$name" || ours="$ours $name"
done
case " $ours " in *' containerd '* | *' containerd.io '*)
  systemctl -q disable --now containerd 2>/dev/null || : ;;
esac
# shellcheck disable=SC2086  # names
if [ -z "$ours" ]; then :
elif command -v apt-get >/dev/null; then
  apt-mark -qq unhold $ours >/dev/null 2>&1 || :
  DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=120 purge $ours
else
  dnf -q -y --disableexcludes="$repository" remove $ours
fi
rm -f "/etc/apt/keyrings/$repository".* "$record"

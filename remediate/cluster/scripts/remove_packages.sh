# Arguments: the packages, held or not. repository: the name of Hale's.
systemctl -q disable --now containerd 2>/dev/null || :
if command -v apt-get >/dev/null; then
  have=$(dpkg-query -W -f='${Package} ' "$@" 2>/dev/null || :)
  # shellcheck disable=SC2086  # names
  [ -z "$have" ] || apt-mark -qq unhold $have >/dev/null 2>&1 || :
  # shellcheck disable=SC2086  # names
  [ -z "$have" ] || DEBIAN_FRONTEND=noninteractive apt-get -qq -y \
    -o DPkg::Lock::Timeout=120 purge $have
  rm -f "/etc/apt/keyrings/$repository".*
else
  dnf -q -y --disableexcludes="$repository" remove "$@"
fi

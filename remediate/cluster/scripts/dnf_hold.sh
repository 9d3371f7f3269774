# Defines `dnf_hold NAME…` and `dnf_release NAME…`: packages stay at the version that is installed, by
# dnf's versionlock; dnf 4 has it as a plugin, which a host may lack.
has_versionlock() { dnf -q versionlock list >/dev/null 2>&1; }
dnf_hold() {
  [ $# != 0 ] || return 0
  if has_versionlock; then dnf -q versionlock add "$@" >/dev/null
  else
    echo "note: dnf has no versionlock, so an update may replace: $*. Install" \
      "python3-dnf-plugin-versionlock, then: dnf versionlock add $*"
  fi
}
dnf_release() {
  ! has_versionlock || dnf -q versionlock delete "$@" >/dev/null 2>&1 || :
}

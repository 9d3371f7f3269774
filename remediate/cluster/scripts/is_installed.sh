# Defines `is_installed NAME`: whether apt or dnf has the package.
is_installed() {
  if command -v apt-get >/dev/null; then
    dpkg-query -W -f='${db:Status-Abbrev}\n' "$1" 2>/dev/null | grep -q '^.i'
  else
    rpm -q "$1" >/dev/null 2>&1
  fi
}

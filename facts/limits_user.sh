# Given: user, from the inventory. Where it is empty, or the host does not know that user (missing):
# the ordinary user with the lowest number.
missing='' ordinary='' least='' known=''
while IFS=: read -r name _ uid _ _ _ shell; do
  if [ -n "$user" ] && [ "$name" = "$user" ]; then known=yes; break; fi
  case $shell in */nologin|*/false|*/true|/dev/null) continue;; esac
  case $uid in ''|*[!0-9]*) continue;; esac
  # From 65534 on: the overflow user and those that systemd allocates.
  if [ "$uid" -ge 1000 ] && [ "$uid" -lt 65534 ] && [ "$uid" -lt "${least:-65534}" ]
  then least=$uid ordinary=$name; fi
done </etc/passwd || exit
if [ -z "$user" ]; then
  user=$ordinary
elif [ -z "$known" ] && command -v id >/dev/null && ! id -u -- "$user" >/dev/null 2>&1; then
  missing=$user user=$ordinary
fi
# Where users may be that are not in /etc/passwd.
databases() {
  file=/etc/nsswitch.conf
  [ ! -e "$file" ] || sed -n 's/#.*//; s/^[[:blank:]]*passwd:/passwd /p' "$file"
  if [ -e /etc/sssd ] && [ ! -x /etc/sssd ]; then echo 'sssd /etc/sssd'; fi
  for file in /etc/sssd/sssd.conf /etc/sssd/conf.d/*.conf; do
    [ ! -e "$file" ] || echo "sssd $file"
  done
}
if [ -n "$missing" ]; then
  echo "missing $missing $user"
  databases
  exit 0
fi

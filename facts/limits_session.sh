# Given: user. sshd's limits, then those of a session that PAM opens from them. prlimit first sets
# this shell's limits to sshd's, because the shell may have limits from its own login's pam_limits.
# Where root may not raise them (a container without CAP_SYS_RESOURCE, entered through sudo), the
# script prints which were kept. Without an ordinary user: where such users may be instead.
fail() { echo "$1" >&2; exit 3; }
[ -n "$user" ] || {
  echo no-ordinary-user
  file=/etc/nsswitch.conf
  [ ! -e "$file" ] || sed -n 's/#.*//; s/^[[:blank:]]*passwd:/passwd /p' "$file"
  if [ -e /etc/sssd ] && [ ! -x /etc/sssd ]; then echo 'sssd /etc/sssd'; fi
  for file in /etc/sssd/sssd.conf /etc/sssd/conf.d/*.conf; do
    [ ! -e "$file" ] || echo "sssd $file"
  done
  exit
}
pid=
for file in /run/sshd.pid /var/run/sshd.pid; do
  [ -r "$file" ] && read -r found <"$file" && [ -r "/proc/$found/comm" ] &&
    read -r name <"/proc/$found/comm" && [ "$name" = sshd ] && { pid=$found; break; }
done
if [ -z "$pid" ]; then
  for folder in /proc/[0-9]*; do
    { read -r name <"$folder/comm" && [ "$name" = sshd ] &&
      read -r _ _ _ parent _ <"$folder/stat"; } 2>/dev/null || continue
    grep -qsE '^Uid:[[:space:]]*0[[:space:]]+0[[:space:]]' "$folder/status" || continue
    [ "$parent" = 1 ] && { pid=${folder#/proc/}; break; }
  done
fi
[ -n "$pid" ] || fail 'no sshd listens here, so a login has no limits to start from'
while read -r first second third fourth fifth _; do
  case "$first $second" in
    'Max open') nofile=$fourth:$fifth;;
    'Max locked') memlock=$fourth:$fifth;;
    'Max processes') nproc=$third:$fourth;;
  esac
done <"/proc/$pid/limits" || exit
echo "sshd nofile=$nofile nproc=$nproc memlock=$memlock"
echo "user $user"
read -r self _ </proc/self/stat || exit
set -- --nofile="$nofile" --nproc="$nproc" --memlock="$memlock"
prlimit --pid "$self" "$@" 2>/dev/null || for limit; do
  said=$(prlimit --pid "$self" "$limit" 2>&1) || case $said in
    *'Operation not permitted'*) limit=${limit#--}; echo "kept ${limit%%=*}";;
    *) fail "$said";;
  esac
done
exec runuser -s /bin/cat -- "$user" /proc/self/limits

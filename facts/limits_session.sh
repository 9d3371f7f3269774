# Given: user, and databases (limits_user.sh). sshd's limits, then those of a session that PAM opens
# from them. prlimit first sets this shell's limits to sshd's, because the shell may have limits from
# its own login's pam_limits. Where root may not raise them (a container without CAP_SYS_RESOURCE,
# entered through sudo), the script prints which were kept. Without an ordinary user: where such users
# may be instead.
# Then what is left of the limits in an interactive login shell: its start-up files may lower them.
fail() { echo "$1" >&2; exit 3; }
[ -n "$user" ] || {
  echo no-ordinary-user
  databases
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
  output=$(prlimit --pid "$self" "$limit" 2>&1) || case $output in
    *'Operation not permitted'*) limit=${limit#--}; echo "kept ${limit%%=*}";;
    *) fail "$output";;
  esac
done
# A login program that is no shell, or one that cannot be started so, prints nothing more.
entry=$(getent passwd "$user") || entry=$(grep "^$user:" /etc/passwd)
shell=${entry##*:} home=${entry%:*} home=${home##*:}
echo "shell ${shell:=/bin/sh}"
files=
for file in bash_profile bash_login profile bashrc bash_aliases zshenv zprofile zshrc zlogin \
            kshrc cshrc tcshrc login config/fish/config.fish; do files="$files $home/.$file"; done
# shellcheck disable=SC2086  # words
grep -HnsE -D skip -d skip '^([^#]*[;&|[:blank:]])?u?limit[[:blank:]]' /etc/profile \
  /etc/profile.d/*.sh /etc/bash.bashrc /etc/bashrc /etc/zprofile /etc/zshrc /etc/zsh/* \
  /etc/csh.cshrc /etc/csh.login /etc/environment.d/*.sh $files |
  sed -E 's/^([^:]*:[0-9]+:)([^#]*[;&|[:blank:]])?(u?limit[[:blank:]]+[^;&|#]*).*/ulimit \1\3/'
# The session's own limits, by the shell itself: a user may have all processes that are allowed.
# Then those of the login shell. Whoever replaces the shell in a start-up file reads the same commands
# from standard input. No terminal, no history; what the files start in the background ends with it,
# since it would keep the output open. Nothing else that they print is printed here.
mark=hale-$self-limits
show="echo $mark; cat /proc/self/limits"
case ${shell##*/} in
  csh | tcsh) set -- -l ;;
  *sh) set -- -l -i -c "$show" ;;
  *) set -- -c "$show" ;;
esac
alone=
if { true </dev/tty; } 2>/dev/null; then alone=setsid; fi
# shellcheck disable=SC2016  # expanded by the inner shell
session='
  while IFS= read -r line; do echo "$line"; done </proc/self/limits || exit
  cd "$HOME" 2>/dev/null || cd /
  mark=$1 alone=$2 name=$3 shell=$4
  shift 4
  {
    env -i HOME="$HOME" USER="$name" LOGNAME="$name" SHELL="$shell" TERM=dumb LC_ALL=C \
      PATH=/usr/local/bin:/usr/bin:/bin HISTFILE= HALE_MARK="$mark" \
      timeout -k 1 4 $alone "$shell" "$@"
    for file in $(grep -lszxF "HALE_MARK=$mark" /proc/[0-9]*/environ); do
      pid=${file#/proc/}; kill -9 "${pid%/environ}"
    done
  } 2>/dev/null |
    sed -n "/^$mark\$/,\$ { s/^$mark\$/login/p; /^Max \(open files\|processes\|locked memory\) /p; }"'
printf '%s\n' "$show" exit |
  runuser -s /bin/sh -- "$user" -c "$session" sh "$mark" "$alone" "$user" "$shell" "$@"

# Whether this pam_limits handles an unlimited nofile (by fs.nr_open, since Linux-PAM 1.5.2).
set --
for folder in /lib/security /lib/*/security /lib64/security \
              /usr/lib/security /usr/lib/*/security /usr/lib64/security
do [ -e "$folder/pam_limits.so" ] && set -- "$@" "$folder/pam_limits.so"; done
[ $# -gt 0 ] || { echo 'pam_limits.so is in no folder of PAM' >&2; exit 3; }
grep -c nr_open /dev/null "$@" || [ $? -eq 1 ]

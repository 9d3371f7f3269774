# Check a configuration of keepalived. Version 2.2 ends the test of a file that names a script by a
# SIGTERM to itself, whether the file is valid or not, and prints errors to standard error; older
# versions end with a status.
# new: the file.
output=$(keepalived -t -f "$new" 2>&1) && r=0 || r=$?
output=$(printf '%s\n' "$output" | grep -v '^Terminated$' || :)
case $r in 0 | 143) [ -z "$output" ] && exit ;; esac
printf '%s\n' "$output" "keepalived -t ended with $r"
exit 1

# shellcheck disable=SC2048,SC2086  # the arguments are patterns, to be expanded; IFS is empty
# `fs TYPE ID PATH` of each file of these patterns, and of the root; `mount POINT` below /etc.
IFS=
set -- $*
stat -L -f -c 'fs %T %i %n' -- / "$@" 2>/dev/null
# A shell reads a line byte by byte, and a node has hundreds of mounts: sed(1) is faster.
sed -n 's,^[^ ]* [^ ]* [^ ]* [^ ]* \(/etc/[^ ]*\) .*,mount \1,p' /proc/self/mountinfo

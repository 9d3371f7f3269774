# Sockets in the state LISTEN (0A). Up to the state: the queues after it change with every pending
# connection.
need grep sed
cat /proc/net/tcp >/dev/null || exit 3
grep -h ' 0A ' /proc/net/tcp /proc/net/tcp6 2>/dev/null |
  sed 's/^\( *[^ ]* [^ ]* [^ ]* [^ ]*\) .*/\1/'
echo end

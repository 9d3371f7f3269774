# What every script on a host begins with: messages in English, the system's own programs.
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin

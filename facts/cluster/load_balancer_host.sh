# Arguments: the programs, which are named as their packages.
for p; do
  if command -v "$p" >/dev/null; then
    echo "installed $p $("$p" -v 2>&1 | head -n 3 | tr '\n' ' ')"
    v=$(dpkg-query -W -f '${Version}' "$p" 2>/dev/null ||
      rpm -q --queryformat '%{VERSION}' "$p" 2>/dev/null) && echo "package $p $v"
  elif command -v apt-cache >/dev/null; then
    echo "candidate $p $(apt-cache policy "$p" 2>/dev/null | sed -n 's/^ *Candidate: //p')"
  elif command -v dnf >/dev/null; then
    v=$(dnf -q -C repoquery --latest-limit 1 --queryformat '%{version}\n' "$p" 2>/dev/null) || :
    echo "candidate $p $(printf '%s\n' "$v" | head -n 1)"
  fi
done
if [ ! -e /proc/sys/net/ipv6 ]; then echo "ipv6 absent"
elif [ "$(cat /proc/sys/net/ipv6/conf/all/disable_ipv6)" = 1 ]; then echo "ipv6 disabled"
else echo "ipv6 enabled"; fi

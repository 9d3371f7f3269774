# Arguments: the packages.
if command -v dpkg-query >/dev/null && command -v apt-get >/dev/null; then
  echo apt
  dpkg-query -W -f='have ${Package} ${db:Status-Abbrev}${Version}\n' "$@" 2>/dev/null
  apt-mark showhold "$@" 2>/dev/null | sed 's/^/held /'
  [ -z "$(dpkg --audit)" ] || echo broken
elif command -v dnf >/dev/null && command -v rpm >/dev/null; then
  echo dnf
  rpm -q --qf 'have %{NAME} ii %{VERSION}-%{RELEASE}\n' "$@" | grep '^have '
else
  echo "neither apt-get nor dnf is there" >&2; exit 127
fi
! command -v containerd >/dev/null || echo "containerd $(containerd --version | cut -d' ' -f3)"
for d in /opt/cni/bin /usr/lib/cni /usr/libexec/cni; do
  [ ! -x $d/loopback ] || { echo "cni $d"; break; }
done
case $(stat -fc %T /sys/fs/cgroup 2>/dev/null) in
  cgroup2fs) echo "cgroup v2" ;;
  tmpfs) echo "cgroup v1" ;;
esac
echo "capabilities $(sed -n 's/^CapEff:[[:space:]]*//p' /proc/1/status)"

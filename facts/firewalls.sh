# After probe_prelude.sh. Given: make (nftables, or iptables for what iptables and ufw have made).
# The rules in the kernel, as "@ TOOL FAMILY" and what the tool prints; "@ end" after the last. Only
# where the kernel has loaded what a tool would load: an audit changes nothing.
need grep sed uname
loaded() { # MODULE; also where it cannot be known: a kernel without modules loads none
  [ ! -d "/sys/module/$1" ] && [ -e /proc/modules ] || return 0
  builtin=/lib/modules/$(uname -r)/modules.builtin
  [ ! -r "$builtin" ] || grep -q "/$1\.ko" "$builtin"
}
tables() { # [FAMILY]: nft's list of tables in $output; false where the kernel has no nftables
  # shellcheck disable=SC2086  # a family, or none
  capture nft list tables $1
  [ "$r" != 0 ] || return 0
  case $output in *'not supported'*) return 1 ;; esac
  printf 'nft list tables: %s\n' "$output" >&2
  exit 3
}
show() {
  family=$1; shift
  capture "$@"
  [ "$r" = 0 ] || { printf '%s: %s\n' "$*" "$output" >&2; exit 3; }
  # Without times and counters, which differ between two audits.
  printf '@ %s %s\n' "$1" "$family"
  printf '%s\n' "$output" | sed -e '/^# Generated/d' -e '/^# Completed/d' -e 's/ \[[0-9]*:[0-9]*\]$//'
}
has_filter() { # FAMILY: whether nftables has a table of that name, as iptables-nft makes it
  command -v nft >/dev/null || return 0
  tables "$1" && printf '%s\n' "$output" | grep -qx "table $1 filter"
}
nftables() {
  loaded nf_tables || return 0
  command -v nft >/dev/null ||
    missing "nft is not installed: the rules of nftables cannot be looked at"
  tables '' || return 0
  printf '%s\n' "$output" | while read -r word family name; do
    # Those of kube-proxy are many, and firewalld is another requirement's.
    case $word/$name in
      table/ | table/kube-proxy | table/firewalld) continue ;;
      table/*) ;;
      *) continue ;;
    esac
    # Those of iptables' table nat may be many, and it filters nothing.
    case $family/$name in ip/nat | ip6/nat)
      capture nft list chains "$family"
      [ "$r" = 0 ] || { printf 'nft list chains %s: %s\n' "$family" "$output" >&2; exit 3; }
      printf '%s\n' "$output" | sed -n "/^table $family nat {/,/^}/p" | grep -q 'type filter' || continue ;;
    esac
    capture nft -s list table "$family" "$name"
    case $r/$output in
      0/*) printf '@ nft %s\n%s\n' "$family" "$output" ;;
      */*'No such file'*) ;;
      *) printf 'nft list table %s %s: %s\n' "$family" "$name" "$output" >&2; exit 3 ;;
    esac
  done || exit
}
iptables() { # FAMILY PROGRAM FILE: the rules of both variants
  variant=$("$2-save" -V 2>/dev/null)
  if [ -e "$3" ]; then
    readable "$3"
    if grep -qx filter "$3"; then
      if command -v "$2-legacy-save" >/dev/null; then show "$1" "$2-legacy-save" -t filter
      else
        case $variant in
          *nf_tables* | '') missing "$2-legacy-save is not installed, and the kernel has such rules" ;;
        esac
        show "$1" "$2-save" -t filter
      fi
    fi
  fi
  if loaded nf_tables && has_filter "$1"; then
    case $variant in
      *nf_tables*) show "$1" "$2-save" -t filter ;;
      *)
        if command -v "$2-nft-save" >/dev/null; then show "$1" "$2-nft-save" -t filter
        else missing "$2-nft-save is not installed, and the kernel may have such rules"; fi
        ;;
    esac
  fi
}
if [ "$make" = nftables ]; then nftables
else
  iptables ip iptables /proc/net/ip_tables_names
  iptables ip6 ip6tables /proc/net/ip6_tables_names
fi
echo '@ end'

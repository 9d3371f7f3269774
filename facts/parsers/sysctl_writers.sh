# Given: unseen.sh, script_names.sh; $1, an extended regular expression of the parameters' names and
# paths.
# Lines that may set them after systemd-sysctl, as FILE:LINE:TEXT, in what a boot runs: ufw's own
# file, tuned, ifupdown, NetworkManager, networkd, rc.local, cron, udev, cloud-init's scripts, units of
# the site's own, and the files that these name.
wanted() {
  for link in /etc/systemd/system/*."wants/$1" /lib/systemd/system/*."wants/$1" \
              /etc/systemd/system/*."requires/$1"; do
    [ ! -h "$link" ] || { [ ! /dev/null -ef "/etc/systemd/system/$1" ]; return; }
  done
  return 1
}
value_of() { sed -n "s/^[[:blank:]]*$1[[:blank:]]*=[[:blank:]]*[\"']\{0,1\}\([^\"'#]*\).*/\1/p" "$2"; }
keys=$1
set --
unseen /etc/systemd/system/* /etc/systemd/system/*.d/*.conf /usr/local/lib/systemd/system/*
for unit in /etc/systemd/system/*.service /usr/local/lib/systemd/system/*.service; do
  [ -f "$unit" ] || continue
  name=${unit##*/}
  for by in "${unit%/*}"/*.wants/"$name" "${unit%/*}"/*.requires/"$name" \
            /etc/systemd/system/*.wants/"${name%@.service}"@*.service \
            /etc/systemd/system/*.wants/"${name%.service}".timer \
            /etc/systemd/system/*.wants/"${name%.service}".path; do
    of_sleep "$by" || [ ! -h "$by" ] || { set -- "$@" "$unit"; break; }
  done
done
# Units of packages that a site has enabled; systemd's own do not set what it reads from files.
packaged=
for link in /etc/systemd/system/*.wants/*.service /etc/systemd/system/*.requires/*.service \
  /lib/systemd/system/*.wants/*.service; do
  name=${link##*/}
  ! of_sleep "$link" || continue
  case $name in *[!A-Za-z0-9@:_.-]* | systemd-* | '*'*) continue ;; esac
  for unit in "/etc/systemd/system/$name" "/usr/lib/systemd/system/$name" "/lib/systemd/system/$name"; do
    [ ! /dev/null -ef "$unit" ] || break  # masked
    [ -f "$unit" ] || continue
    case $unit in /etc/*) ;; *) packaged="$packaged $unit" ;; esac
    break
  done
done
for unit in /etc/systemd/system*/*.service.d/*.conf; do [ ! -f "$unit" ] || set -- "$@" "$unit"; done
# Units that another unit of the site pulls in.
# shellcheck disable=SC2086  # patterns
pulled=$(grep -hsE '^(Wants|Requires|BindsTo|Upholds|OnSuccess|OnFailure|Unit|Service)=|x-systemd.requires=|systemd[.]wants=' \
  /etc/systemd/system/*.* /etc/systemd/system/*.d/*.conf /etc/fstab $command_lines)
for unit in /etc/systemd/system/*.service; do
  [ ! -f "$unit" ] || case " $* " in
    *" $unit "*) ;;
    *) case $pulled in *"${unit##*/}"*) set -- "$@" "$unit" ;; esac ;;
  esac
done
unseen /etc/rc.d /etc/modprobe.d/*.conf
# shellcheck disable=SC2086  # paths without blanks
set -- "$@" $user_units
if wanted networking.service; then
  set -- "$@" /etc/network/interfaces /etc/network/interfaces.d/* /etc/network/if-pre-up.d/* \
    /etc/network/if-up.d/*
fi
if wanted NetworkManager.service; then
  set -- "$@" /etc/NetworkManager/dispatcher.d/* /etc/NetworkManager/dispatcher.d/*/*
fi
! wanted atd.service || set -- "$@" /var/spool/cron/atjobs/* /var/spool/at/*
wanted networkd-dispatcher.service &&
  set -- "$@" /etc/networkd-dispatcher/*.d /etc/networkd-dispatcher/*.d/*
# shellcheck disable=SC2046,SC2086  # paths without blanks
set -- "$@" $(executables $common_scripts $(legacy_scripts))
for file in /etc/cron.d/*; do passed_over "$file" || set -- "$@" "$file"; done
# shellcheck disable=SC2046  # paths without blanks
set -- "$@" /etc/crontab /etc/anacrontab /var/spool/cron/crontabs/* /var/spool/cron/root \
  /etc/udev/rules.d/*.rules $(wireguard_files) \
  $(grep -lsE '^[[:blank:]]*install[[:blank:]]' /dev/null /etc/modprobe.d/*.conf)
[ -e /etc/cloud/cloud-init.disabled ] ||
  set -- "$@" /var/lib/cloud/scripts/per-boot/* /var/lib/cloud/instance/boothooks/* \
    /var/lib/cloud/instance/scripts/*
! wanted ufw.service || unseen /etc/ufw/ufw.conf /etc/default/ufw
if [ -e /etc/ufw/ufw.conf ] && wanted ufw.service &&
   grep -qsiE '^[[:blank:]]*ENABLED=["'\'']?yes' /etc/ufw/ufw.conf; then
  set -- "$@" "$(value_of IPT_SYSCTL /etc/default/ufw)"
fi
main=/etc/tuned/tuned-main.conf
! wanted tuned.service || unseen $main /etc/tuned/active_profile
if [ -e /etc/tuned/active_profile ] && wanted tuned.service &&
   case $(value_of reapply_sysctl $main 2>/dev/null) in 0*|[Ff]*|[Nn]*) ;; *) false ;; esac; then
  pending=$(cat /etc/tuned/active_profile)
  for n in 1 2 3 4 5 6 7 8; do
    next=
    for name in $pending; do
      for file in "/etc/tuned/$name" "/etc/tuned/profiles/$name" "/usr/lib/tuned/$name" \
                  "/usr/lib/tuned/profiles/$name"; do
        file=$file/tuned.conf
        [ -e "$file" ] || { unseen "$file"; continue; }
        set -- "$@" "$file"
        next="$next $(value_of include "$file" | tr , ' ')"
        break
      done
    done
    pending=$next
  done
fi
if wanted systemd-networkd.service; then
  for file in /etc/systemd/networkd.conf /etc/systemd/networkd.conf.d/*.conf \
      /etc/systemd/network/*.network /etc/systemd/network/*.network.d/*.conf \
      /run/systemd/network/*.network; do
    unseen "$file"
    [ ! -f "$file" ] || grep -nHsiE '^[[:blank:]]*IPv4Forwarding[[:blank:]]*=' "$file"
  done
fi
unseen "$@"
# follow FILE...: what these name, in $new: scripts, and files of parameters for `sysctl -p`.
every_path=1
follow() {
  new=
  set -f
  for file in $(script_names "$@"); do
    case " $known " in *" $file "*) continue ;; esac
    known="$known $file"
    [ -d "$file" ] || unseen "$file"
    [ -f "$file" ] && [ -r "$file" ] && new="$new $file"
  done
  # shellcheck disable=SC2086  # paths without blanks
  [ -z "$new" ] || new=$(find -L $new -prune -size -200000c)
  set +f
}
known="$*"
# Programs of the packages' units, if they are scripts.
programs=
# shellcheck disable=SC2013,SC2086  # words of paths without blanks
for word in $(grep -hoE '^Exec[A-Za-z]*=[-@:+!]*(/usr/s?bin|/s?bin|/usr/lib|/usr/libexec)/[[:alnum:]_./@+-]+' \
  /dev/null $packaged); do
  word=/${word#*/}
  case " $programs " in *" $word "*) ;; *) programs="$programs $word" ;; esac
done
of_units=$(instance_scripts)
# shellcheck disable=SC2086  # paths without blanks
unseen $of_units
# shellcheck disable=SC2086  # the same words
set -- "$@" $packaged $programs $of_units
# Two steps are followed.
follow "$@"
more=$new
# shellcheck disable=SC2086  # words of paths without blanks
[ -z "$more" ] || { follow $more; more="$more $new"; }
# shellcheck disable=SC2086  # the same words
grep -nHIsE -D skip -d skip -- "$keys" "$@" $more </dev/null
[ $? -le 2 ] || exit
end_unseen

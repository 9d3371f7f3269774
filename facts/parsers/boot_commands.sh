# shellcheck disable=SC2046,SC2086  # lists of paths without blanks
# Lines that match a pattern: of the units that a boot starts, of what these pull in, and of the
# scripts that these, the network's managers, udev, cron and a boot itself run. `$1` is an extended
# regular expression. Given: unseen.sh, script_names.sh. And lines of fstab: source, folder and type.
units='' scripts='' triggers='' done=' '
folders='/etc/systemd/system.control /etc/systemd/system /etc/systemd/system.attached
/usr/local/lib/systemd/system /usr/lib/systemd/system /lib/systemd/system
/run/systemd/generator.late'
unseen /etc/systemd/system /usr/local/lib/systemd/system /etc/systemd/system/*.wants \
  /etc/systemd/system/*.requires /etc/systemd/system/*.upholds \
  /usr/local/lib/systemd/system/*.wants /run/systemd/generator.late
# That they can be searched, once for all units.
for folder in $folders; do [ -x "$folder" ] || unseen "$folder"; done
etc='/etc/systemd/system.control /etc/systemd/system /etc/systemd/system.attached'
# plain FILE: whether its path has only characters that need no quotes.
plain() { case $1 in *[!A-Za-z0-9@:_./-]*) return 1 ;; esac; }
# drop_ins FOLDER: the files of a folder of drop-ins, for `units`; one of /etc replaces others of its
# name.
drop_ins() {
  [ -e "$1" ] || [ -h "$1" ] || return 0
  unseen "$1"
  for file in "$1"/*.conf; do
    plain "$file" || continue
    for of_site in $etc; do
      of_site=$of_site/${1##*/}/${file##*/}
      [ "$file" != "$of_site" ] || break
      if [ -e "$of_site" ] || [ -h "$of_site" ]; then continue 2; fi
    done
    unseen "$file"
    [ -f "$file" ] && [ -r "$file" ] || continue
    case " $units " in *" $file "*) ;; *) units="$units $file" ;; esac
  done
}
# start NAME: this unit, and what a timer, a path or a socket of that name starts.
start() {
  case $done in *" $1 "*) return ;; esac
  done="$done$1 "
  name=$1 instance=
  case $name in
    *[!A-Za-z0-9@:_.-]*) return ;;
    *@*.service) instance=$name name=${name%%@*}@.service ;;
    *.service) ;;
    *.timer | *.path | *.socket)
      for folder in $folders; do
        [ -f "$folder/$name" ] && [ -r "$folder/$name" ] || continue
        triggers="$triggers $folder/$name"
        break
      done
      name=${name%.*}.service ;;
    *.target | *.mount | *.automount)
      for folder in $etc /usr/local/lib/systemd/system; do
        [ ! -f "$folder/$name" ] || [ ! -r "$folder/$name" ] || triggers="$triggers $folder/$name"
      done
      return ;;
    *) return ;;
  esac
  case " $units " in *"/$name "*) return ;; esac
  for folder in $folders; do
    if [ ! -e "$folder/$name" ]; then
      [ ! -h "$folder/$name" ] || unseen "$folder/$name"
      continue
    fi
    [ -f "$folder/$name" ] && [ -r "$folder/$name" ] || { unseen "$folder/$name"; break; }  # masked
    units="$units $folder/$name"
    drop_ins "$folder/$name.d"
    for of_site in $etc; do
      drop_ins "$of_site/$name.d"
      [ -z "$instance" ] || drop_ins "$of_site/$instance.d"
    done
    break
  done
}
for link in /etc/systemd/system/*.wants/* /etc/systemd/system/*.requires/* \
  /etc/systemd/system/*.upholds/* /usr/local/lib/systemd/system/*.wants/* \
  /usr/lib/systemd/system/*.wants/* /run/systemd/generator.late/*.wants/* \
  /etc/systemd/system.[ac]*/*.wants/* /etc/systemd/system.[ac]*/*.requires/*; do
  of_sleep "$link" || start "${link##*/}"
done
drop_ins /etc/systemd/system/service.d
# Lines of fstab whose mount fails because its source is not there, which ends a boot early, and units
# that others pull in. A container's systemd passes over devices, and without udev they have no names.
number=0 devices=
[ -e /run/systemd/container ] || [ ! -d /dev/disk/by-uuid ] || devices=1
[ ! -r /etc/fstab ] || while read -r what point type options _ || [ -n "$what" ]; do
  number=$((number + 1)) source=
  case $what in '' | '#'*) continue ;; esac
  case $what$point in *\\*) continue ;; esac
  case $point in / | none | swap) continue ;; esac
  case ,$options, in *,noauto,*) continue ;; esac
  required=$options
  while case $required in *x-systemd.requires=*) ;; *) false ;; esac; do
    required=${required#*x-systemd.requires=}
    start "${required%%,*}"
  done
  case ,$options, in
    *,nofail,* | *,_netdev,* | *,x-systemd.automount,* | *,x-initrd.mount,* | *,bind,* | *,rbind,*)
      continue ;;  # the source of a bind mount is made
  esac
  # Programs of FUSE have their own words for a source, and may join several.
  case $what in /*:*) continue ;; esac
  case $type in
    fuse | fuse.* | swap | nfs | nfs4 | cifs | smb* | ceph | gluster* | afs | gfs* | ocfs2 | lustre | davfs \
      | ncp* | pvfs2 | zfs) continue ;;
  esac
  name=${what#*=} name=${name#\"} name=${name%\"}
  case $what in
    LABEL=*[!A-Za-z0-9=\"+.:@_-]* | PARTLABEL=*[!A-Za-z0-9=\"+.:@_-]*) continue ;;  # udev quotes them
  esac
  case $devices$what in
    1UUID=*) source=/dev/disk/by-uuid/$name ;;
    1LABEL=*) source=/dev/disk/by-label/$name ;;
    1PARTUUID=*) source=/dev/disk/by-partuuid/$name ;;
    1PARTLABEL=*) source=/dev/disk/by-partlabel/$name ;;
    1/dev/*) source=$what ;;
    /dev/*) ;;
    /* | 1/*) source=$what ;;
  esac
  if [ -n "$source" ] && [ ! -e "$source" ]; then
    unseen "$source"
    echo "/etc/fstab:$number:$what $point $type"
  fi
done </etc/fstab
units="$units$user_units"
# What the site's own of these pull in, and what timers start by another name; two steps.
own=none
for step in 1 2; do
  before=$own own=
  for file in $units $triggers; do
    case $file in /etc/* | /usr/local/*) own="$own $file" ;; esac
  done
  [ "$own" != "$before" ] || break
  # shellcheck disable=SC2013  # words
  for word in $(grep -hsE '^[[:blank:]]*(Wants|Requires|Requisite|BindsTo|Upholds|Unit|Service|OnSuccess|OnFailure)[[:blank:]]*=|systemd[.]wants=' \
    /dev/null $own /etc/systemd/system/*.target.d/*.conf $command_lines); do
    word=${word#[\"\']} word=${word%[\"\']}
    start "${word##*=}"
  done
done
# enabled UNIT: whether a boot starts it.
enabled() { case " $units " in *"/$1 "*) ;; *) return 1 ;; esac; }
unseen /etc/rc.d /var/lib/cloud/scripts/per-boot /var/lib/cloud/instance/boothooks \
  /var/lib/cloud/instance/scripts /etc/cron.d /var/spool/cron \
  /var/spool/cron/crontabs
hooks='' lines_of=''
if enabled networking.service; then
  hooks='/etc/network/if-pre-up.d/* /etc/network/if-up.d/*'
  lines_of='/etc/network/interfaces /etc/network/interfaces.d/*'
fi
! enabled NetworkManager.service ||
  hooks="$hooks /etc/NetworkManager/dispatcher.d/* /etc/NetworkManager/dispatcher.d/*/*"
! enabled atd.service || hooks="$hooks /var/spool/cron/atjobs/* /var/spool/at/*"
! enabled networkd-dispatcher.service || hooks="$hooks /etc/networkd-dispatcher/*.d/*"
for file in $(executables /var/lib/cloud/scripts/per-boot/* \
  /var/lib/cloud/instance/boothooks/* /var/lib/cloud/instance/scripts/* $hooks \
  $common_scripts $(legacy_scripts) /etc/systemd/system-generators/* \
  /usr/local/lib/systemd/system-generators/*); do
  plain "$file" || continue
  unseen "$file"
  [ -d "$file" ] || [ ! -r "$file" ] || scripts="$scripts $file"
done
crontabs=
for file in /etc/crontab /etc/anacrontab /etc/cron.d/* /var/spool/cron/* /var/spool/cron/crontabs/* $lines_of \
  /etc/udev/rules.d/*.rules $(wireguard_files); do
  plain "$file" || continue
  ! passed_over "$file" || continue
  [ -d "$file" ] || unseen "$file"
  [ -f "$file" ] && [ -r "$file" ] && crontabs="$crontabs $file"
done
# The programs that these name, if they are files; grep -I skips those that are not text.
set -f
lines=$(grep -hE '^[[:space:]]*(Exec[A-Za-z]*[[:space:]]*=|@|[0-9*].* /|(pre-|post-)?up[[:space:]])|RUN' \
  /dev/null $units $crontabs)
IFS='
'
set -- "$1" $lines
unset IFS
pattern=$1
shift
odd_programs "$@"
# named WORD: a script of this path.
named() {
  case $1 in
    *[!A-Za-z0-9@:_./-]* | /proc/* | /sys/* | /dev/* | /var/log/* | /run/*) return ;;
    /*) ;;
    *) return ;;
  esac
  case " $scripts " in *" $1 "*) return ;; esac
  [ -d "$1" ] || unseen "$1"
  [ -f "$1" ] && [ -r "$1" ] && scripts="$scripts $1"
}
# Quotes part words, too.
IFS="	 \"'
"
for line; do
  for word in ${line#*=}; do
    word=${word#[-@:+!=]} word=${word%[;,]}
    named "$word"
  done
done
unset IFS
# others FILE...: what these run by a relative path, by the name alone, or from a folder.
others() {
  [ $# -gt 0 ] || return 0
  for file in $(script_names "$@"); do [ ! -f "$file" ] || named "$file"; done
}
searched=$scripts
others $units $crontabs $scripts
# Scripts of the site's units whose path is in a variable, or has the unit's instance.
of_units=$(instance_scripts; variable_scripts $own)
unseen $of_units
for word in $(executables $of_units); do named "$word"; done
# And the site's own programs that these scripts name.
words=
# shellcheck disable=SC2013  # words
for word in $(grep -hIsoE '(^|[^[:alnum:]_.~/-])/(etc|opt|root|srv|usr/local|usr/libexec|var/lib)/[[:alnum:]_./@+-]+' \
  /dev/null $scripts); do
  word=/${word#*/}
  case " $words " in *" $word "*) ;; *) words="$words $word" ;; esac
done
for file in $(executables $words); do named "$file"; done
others ${scripts#"$searched"}
set +f
grep -HnIE -e "$pattern" -- /dev/null $units $crontabs $scripts || [ $? -eq 1 ] || exit
end_unseen

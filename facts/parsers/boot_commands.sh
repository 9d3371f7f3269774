# shellcheck disable=SC2086  # lists of paths without blanks
# Lines that match a pattern: of the units that a boot starts, and of the scripts that these, cron
# and a boot itself run. `$1` is an extended regular expression. Given: unseen.sh.
units='' scripts=''
folders='/etc/systemd/system /usr/local/lib/systemd/system /usr/lib/systemd/system
/lib/systemd/system /run/systemd/generator.late'
unseen /etc/systemd/system /usr/local/lib/systemd/system /etc/systemd/system/*.wants \
  /etc/systemd/system/*.requires /etc/systemd/system/*.upholds \
  /usr/local/lib/systemd/system/*.wants /run/systemd/generator.late
# That they can be searched, once for all units.
for folder in $folders; do [ -x "$folder" ] || unseen "$folder"; done
for link in /etc/systemd/system/*.wants/* /etc/systemd/system/*.requires/* \
  /etc/systemd/system/*.upholds/* /usr/local/lib/systemd/system/*.wants/* \
  /usr/lib/systemd/system/*.wants/* /run/systemd/generator.late/*.wants/*; do
  name=${link##*/}
  case $name in
    *[!A-Za-z0-9@:_.-]*) continue ;;
    *@*.service) name=${name%%@*}@.service ;;
    *.service) ;;
    *.timer | *.path | *.socket) name=${name%.*}.service ;;
    *) continue ;;
  esac
  case " $units " in *"/$name "*) continue ;; esac
  for folder in $folders; do
    if [ ! -e "$folder/$name" ]; then
      [ ! -h "$folder/$name" ] || unseen "$folder/$name"
      continue
    fi
    [ -f "$folder/$name" ] && [ -r "$folder/$name" ] || { unseen "$folder/$name"; break; }  # masked
    units="$units $folder/$name"
    for drop_ins in "$folder/$name.d" "/etc/systemd/system/$name.d"; do
      [ -e "$drop_ins" ] || [ -h "$drop_ins" ] || continue
      unseen "$drop_ins"
      for file in "$drop_ins"/*.conf; do
        case $file in *[!A-Za-z0-9@:_./-]*) continue ;; esac
        unseen "$file"
        [ -f "$file" ] && [ -r "$file" ] && units="$units $file"
      done
    done
    break
  done
done
unseen /etc/rc.d /var/lib/cloud/scripts/per-boot /etc/cron.d /var/spool/cron \
  /var/spool/cron/crontabs
for file in /etc/rc.local /etc/rc.d/rc.local /var/lib/cloud/scripts/per-boot/*; do
  case $file in *[!A-Za-z0-9@:_./-]*) continue ;; esac
  [ -f "$file" ] || continue
  executable "$file" || continue
  unseen "$file"
  [ ! -r "$file" ] || scripts="$scripts $file"
done
crontabs=
for file in /etc/crontab /etc/cron.d/* /var/spool/cron/* /var/spool/cron/crontabs/*; do
  case $file in *[!A-Za-z0-9@:_./-]*) continue ;; esac
  [ -d "$file" ] || unseen "$file"
  [ -f "$file" ] && [ -r "$file" ] && crontabs="$crontabs $file"
done
# The programs that these name, if they are files; grep -I skips those that are not text.
set -f
lines=$(grep -hE '^[[:space:]]*(Exec[A-Za-z]*[[:space:]]*=|@reboot)' /dev/null $units $crontabs)
IFS='
'
set -- "$1" $lines
unset IFS
pattern=$1
shift
for line; do
  for word in ${line#*=}; do
    word=${word#[-@:+!]} word=${word#[\"\']} word=${word%[\"\';]}
    case $word in
      *[!A-Za-z0-9@:_./-]* | /proc/* | /sys/* | /dev/* | /var/log/* | /run/*) continue ;;
      /*) ;;
      *) continue ;;
    esac
    case " $scripts " in *" $word "*) continue ;; esac
    [ -d "$word" ] || unseen "$word"
    [ -f "$word" ] && [ -r "$word" ] && scripts="$scripts $word"
  done
done
set +f
grep -HnIE -e "$pattern" -- /dev/null $units $crontabs $scripts || [ $? -eq 1 ] || exit
end_unseen

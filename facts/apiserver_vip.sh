# Arguments: two URLs. Given: ca; client: certificate and key, in one file.
for tool in curl grep head sed tail; do
  command -v $tool >/dev/null || { echo "$tool is not installed" >&2; exit 127; }
done
if [ -e "$ca" ]; then
  [ -r "$ca" ] || { echo "$ca is not readable by this user" >&2; exit 3; }
  echo joined
else
  d=/etc/kubernetes/pki
  for p in /etc/kubernetes $d; do
    [ ! -d "$p" ] || [ -x "$p" ] || { echo "$p is not searchable by this user" >&2; exit 3; }
  done
  echo not joined
  ca=/dev/null
fi
ask() {
  curl -q -sS --noproxy '*' --connect-timeout 3 --max-time 6 --cacert "$ca" --capath /dev/null \
    -w '\n@ %{http_code} %{remote_ip}\n' "$@" 2>&1
}
one() {
  said=$(ask "$1"); r=$?
  case $(printf '%s\n' "$said" | grep '^@ ' | tail -n 1) in
  "@ 401 "*|"@ 403 "*) [ ! -r "$client" ] || { said=$(ask --cert "$client" "$1"); r=$?; } ;;
  esac
  got=$(printf '%s\n' "$said" | sed -n 's/^@ //p' | tail -n 1)
  said=$(printf '%s\n' "$said" | sed '/^@ /d; s/^/| /' | head -c 1500)
  printf 'url %s\n%s\ngot %s %s\n' "$1" "$said" "$r" "$got"
}
# Both run at once; the second's output waits in the pipe, which keeps their order constant.
one "$2" | { one "$1" </dev/null; cat; }

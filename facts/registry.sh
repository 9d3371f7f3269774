need curl grep tr
ask() {
  url=$1; shift
  said=$(curl -q -sSL --noproxy '*' --connect-timeout 3 --max-time 6 -o /dev/null \
    -w '\n@ %{http_code}\n' "$@" "$url" 2>&1)
  printf 'url %s %s %s\n' "$url" "$?" "$(flat "$said")"
}

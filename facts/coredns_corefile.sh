# After local_apiserver.sh. Given: path (of CoreDNS's ConfigMap). Of its Corefile, as a string of
# JSON, the lines that name servers: other plugins' may be secret, and a site's zones large.
b='([[:blank:]]|\\t)'
corefile=$(api configmap "$path" | grep -oE '"Corefile":"([^"\\]|\\.)*"' | head -n 1 |
  sed 's/^"Corefile":"//; s/"$//; s/\\n/\n/g' | grep -E "^$b*(forward|proxy)$b" | head -c 8000 |
  sed 's/$/\\n/' | tr -d '\n')
[ -z "$corefile" ] || printf 'corefile "%s"\n' "$corefile"

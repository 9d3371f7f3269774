# Arguments: ADDRESS:PORT …. Whether a connection is made to each: `reached` or `lost`.
for at; do
  code=0
  curl -q -s -k --noproxy '*' -o /dev/null --connect-timeout 4 --max-time 8 "http://$at/" || code=$?
  case $code in 6|7|28) echo "lost $at" ;; *) echo "reached $at" ;; esac
done
echo end

# Given: folder; answer_request, the script that answers one request.
set -e
cd "$folder"
printf 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok' >answer
printf '#!/bin/sh\n%s' "$answer_request" >reply
listen=OPENSSL-LISTEN:16443,reuseaddr,fork,cert=$folder/server.pem,verify=0
printf '#!/bin/sh\n%s\n' "exec socat $listen EXEC:$folder/reply" >serve
# In a script that a script runs, where no probe looks: a unit that sets the VIP is a fault.
echo 'ip address add 10.208.1.190/32 dev eth0' >address
printf '#!/bin/sh\n. %s\n' "$folder/address" >take-address
chmod +x reply serve take-address
cat >/etc/systemd/system/stand-in.service <<EOF
[Unit]
Description=Answers on the VIP in the apiserver's place
After=networking.service
StartLimitIntervalSec=0
[Service]
ExecStartPre=-$folder/take-address
ExecStart=$folder/serve
[Install]
WantedBy=multi-user.target
EOF
systemctl daemon-reload
systemctl --quiet enable stand-in
systemctl restart stand-in
for _ in $(seq 50); do
  ! (echo | socat - OPENSSL:127.0.0.1:16443,verify=0 >/dev/null 2>&1) || exit 0
  sleep 0.1
done
exit 1

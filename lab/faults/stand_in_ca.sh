# Given: folder; make_certificate, a script that faults use too. The certificate is of the first name
# and the VIP, as kubeadm makes it of controlPlaneEndpoint. Prints the CA's.
set -e
mkdir -p "$folder" && cd "$folder"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
  -subj /CN=kubernetes -keyout ca.key -out ca.crt 2>/dev/null
printf '%s' "$make_certificate" >certificate
sh certificate server DNS:master.k8s.io,DNS:k8s-vip,IP:10.208.1.190 30
cat ca.crt

# Pull images. If one fails, the kubelet pulls it, perhaps with a password.
# Arguments: the images. hosts_dir: containerd's folder of registries.
for i; do
  echo "pulling $i"
  timeout 120 ctr -n k8s.io images pull --hosts-dir "$hosts_dir" "$i" >/dev/null 2>&1 </dev/null ||
    break
done

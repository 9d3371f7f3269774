# Remove what kubeadm makes in its folder, and the manifest that an interrupted drill has moved there.
# A site's own files beside it stay, such as policies of the apiserver and the keys that encrypt
# etcd's data. folder: kubeadm's. Source: kubeadm-reset(1), and what it says that it deletes.
for n in manifests pki tmp admin.conf super-admin.conf kubelet.conf bootstrap-kubelet.conf \
  controller-manager.conf scheduler.conf kube-apiserver.yaml.hale-drill; do
  rm -rf --one-file-system -- "${folder:?}/$n"
done
rmdir "$folder" 2>/dev/null || :

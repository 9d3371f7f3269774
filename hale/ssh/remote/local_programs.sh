# After prelude.sh, for programs that a site installs (kubeadm, containerd), and their downloads.
PATH=/usr/local/sbin:/usr/local/bin:$PATH
unset http_proxy https_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY

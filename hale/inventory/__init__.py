"""The inventory: Ansible's INI format, the hosts that `--hosts` selects, the cluster's settings."""

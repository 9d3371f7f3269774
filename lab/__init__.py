"""Real hosts on one machine: the baseline's five, as isolated systemd-nspawn machines."""

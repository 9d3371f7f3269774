"""Real hosts on one machine: the document's five, as systemd-nspawn machines that lead nowhere."""

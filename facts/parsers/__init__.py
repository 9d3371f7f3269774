"""Readers that several subjects share: systemd units, configuration folders, kernel arguments."""

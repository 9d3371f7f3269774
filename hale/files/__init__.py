"""Files of the control host: atomic writes, JSON lines, signals around both, provenance."""

"""Makes docs/requirements from standard/, facts/ and remediate/."""

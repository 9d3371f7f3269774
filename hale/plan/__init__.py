"""From failed cases to a plan of changes. Nothing here writes to a host."""

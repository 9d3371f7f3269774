"""Install: from bare hosts to a highly available cluster, phase by phase.

`phase` defines phases and their steps, `cluster_context` the cluster to build. `observe` reads the
hosts, and only `executor` writes to them. `scheduler` decides which phase may start, and `engine`
runs each over sessions of its own (`session_leases`); `peer_monitor` watches the other nodes while
one joins. `workflow` is `invoke install`. The phases themselves are remediate/cluster/<phase>.py:
pure functions from observations to steps.
"""

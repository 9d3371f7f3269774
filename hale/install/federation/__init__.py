"""`invoke federation join | leave`: another cluster as a member of the federation, in mode Push.

Karmada's controllers act on a member by its apiserver, with the token of a ServiceAccount there. A
join makes that account, and a Cluster object with its token in Karmada's own apiserver; a leave
removes both, and with them what Karmada has placed on the member. Secrets go from one cluster to
the other through this process's memory.

Source: karmada.io, "Cluster Registration"; karmadactl's join and unjoin (pkg/karmadactl).
"""

"""Drills: inject a fault into a running cluster and measure what a client notices.

`fault` defines the faults and how each is injected and reverted, `http_client` the client and its
request log, `health` the cluster's health over time, `workload` the Deployment that has to
recover, `journal` what still has to be reverted. `workflow` is the command, `runner` its drills one
after the other, `experiment` one of them, `cluster_audit` the audits around them, `interrupted`
what reverts a drill that crashed; `drill_page` writes the report. Apart from `hale.apply` and
`hale.install`, only this package changes hosts, and it changes only what it can revert.
"""

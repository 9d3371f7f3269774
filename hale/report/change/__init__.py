"""change.html: one page for every run that changes hosts, and for the plan of one."""

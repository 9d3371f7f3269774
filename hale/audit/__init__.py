"""An audit: its cases, the evidence of the hosts, the judge, and the record of the results."""

"""Drills: something is taken away from a living cluster, and a client measures who misses it.

`outage` says what is taken away and how it comes back, `asks` is the client and its record,
`watch` what became whole when, `spread` the Deployment that must heal, `journal` what is left
to give back, `run` leads, `report` tells. Besides `hale.apply` this alone changes hosts; it
changes only what it gives back.
"""

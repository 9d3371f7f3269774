"""Install: from bare hosts to a highly available cluster, phase by phase.

`step` says what a phase may want of a host, `site` what is to be built, `look` reads the hosts,
`doer` alone writes to them, `course` tells which phase may begin, `engine` leads each, over
connections of its own (`sessions`), `meanwhile` looks after others while one joins, `command`
turns an operator's words into a run. The phases themselves are remediate/cluster/<phase>.py: pure
functions from what was read to steps.
"""

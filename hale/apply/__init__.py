"""Apply, journal, undo: fixes are written to hosts here and nowhere else.

`workflow` is `invoke fix` and `undo_workflow` is `invoke undo`; `execution` is what they have in
common. `executor` prepares and applies one step on one host, with the handler of its kind of
change. `journal` has an entry before and after each step, `cluster_lock` keeps other runs out,
`gates` decides which hosts may be changed when, `runner` carries a plan out, `recovery` finds out
how a crashed run ended, `undo` makes a plan of a journal, `trial` has a host undo a run by itself,
and `trial_end` ends that.
"""

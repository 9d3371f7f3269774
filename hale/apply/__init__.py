"""Apply, journal, undo: the only part of Hale that writes to a host.

`writer` does one step on one host, `journal` says before and after what is done, `lock` keeps
others out, `gates` decides who may be touched when, `run` leads, `undo` makes the way back.
"""

"""Apply, journal, undo: the only part of Hale that writes to a host.

`writer` does one step on one host, with the shell text of `keeping` and `doing`, and `inverse`
says what takes it back; `journal` says before and after what is done, `lock` keeps
others out, `gates` decides who may be touched when, `run` leads, `undo` makes the way back.
"""

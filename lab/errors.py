"""The lab's exceptions."""


class LabError(Exception):
    """The lab failed; the message says why and what to do next."""


class LabUnavailable(LabError):
    """This machine cannot run a lab; the message names the reason and what is needed."""

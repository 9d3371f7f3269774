"""What the lab says when it cannot go on."""


class LabError(Exception):
    """The lab failed; the message says why and what to do next."""


class LabUnavailable(LabError):
    """This machine cannot carry a lab at all; the message names the reason and what is needed."""

"""What the lab says when it cannot go on."""


class LabError(Exception):
    """The lab could not do what was asked; the message says what happened and what to do next."""


class LabUnavailable(LabError):
    """This machine cannot carry a lab at all; the message names the reason and what is needed."""

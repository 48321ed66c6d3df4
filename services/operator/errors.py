"""What the command cannot do, in one sentence each; no stack trace is shown."""


class OperatorError(Exception):
    """A command that cannot be done: what was wrong, where, and what to do."""


class TryLater(OperatorError):
    """A command that cannot be done at this moment: something does not answer in time, or is busy."""

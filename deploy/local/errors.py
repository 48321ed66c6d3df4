"""What the local system says when it cannot do what was asked."""


class LocalSystemError(Exception):
    """One or more sentences for a person: what is wrong, where, and what to do."""

"""Why nothing was started; the message is one sentence that names the thing, the place and the remedy."""


class UsageRefused(Exception):
    """What was asked for cannot be meant: exit status 2."""


class PreflightRefused(Exception):
    """What was asked for is clear, but the machine is not ready for it: exit status 3."""

"""How a demo can fail of itself."""


class DemoError(Exception):
    """Root of the demo's errors."""


class VerdictsLate(DemoError):
    """Not every upload had its verdict, or not every verdict its row, in the time given."""


class RowsDiffer(DemoError):
    """Postgres has other rows than the verdicts that were published."""


class ExtraMissing(DemoError):
    """Something is not installed that only the demo needs."""


class LiveDemoLate(DemoError):
    """What the live demo is to show did not come about in the time given."""


class LiveServerMissing(DemoError):
    """There is no RTMP server to run the live demo with."""

"""How a demo can fail of itself."""


class DemoError(Exception):
    """Root of the demo's errors."""


class VerdictsLate(DemoError):
    """Not every upload had its verdict, or not every verdict its row, in the time given."""


class RowsDiffer(DemoError):
    """Postgres has other rows than the verdicts that were published."""


class ExtraMissing(DemoError):
    """Something is not installed that only the demo needs."""

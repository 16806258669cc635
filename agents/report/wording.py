"""Numbers in sentences."""


def counted(number: int, what: str) -> str:
    """Return `1 face`, `2 faces`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"

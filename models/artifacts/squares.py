"""Which square of a picture a crop shows."""

from collections.abc import Sequence


def square_of(box: Sequence[float], margin: float) -> tuple[int, int, int]:
    """Return left, top and side, in pixels, of the square that `models.crops.square_crop` cuts around a box.

    Args:
        box: x0, y0, x1, y1 in pixels, touching the picture: only a box wholly outside is moved by `square_crop`.
        margin: ≥ 0.
    """
    x0, y0, x1, y1 = box
    side = max(1, round(max(x1 - x0, y1 - y0) * (1 + margin)))
    return round((x0 + x1 - side) / 2), round((y0 + y1 - side) / 2), side

"""What each artifact analysis counts for in a decision: nothing, by what was measured.

`models.artifacts.measure` on the subsets of `models.artifacts.subsets` finds no analysis whose score separates fakes
from reals wherever it is tried. On generated faces frequency and compression rank by sharpness and resolution, which
separate as well alone: among pairs alike in sharpness most of it is gone, and on faces blended with themselves both
are at or below chance. Texture keeps a little on generated faces, and points the wrong way on composites made by hand.
Colour ranks composites above their originals, weakly, and generated faces not at all. Lighting, shadow, blending
boundary and edge consistency are near chance, or right in one subset and wrong in another. Findings are shown to
moderators with weight 0; none moves a score. A weight may be raised only by a measurement with `separates` on every
subset of its kind of manipulation, at one resolution, and with `matched_auc` above 0.5 too.
"""

from collections.abc import Mapping
from types import MappingProxyType

from models.artifacts.analysis import ANALYSES

WEIGHTS: Mapping[str, float] = MappingProxyType(dict.fromkeys(ANALYSES, 0.0))
"""By analysis."""

"""What each analysis over time counts for in a decision: nothing, by what was measured.

`models.temporal.measure` on the clips of the shared data, seven real and three fake, each its first four seconds at
most at ten frames a second, finds none whose interval of the AUC lies above 0.5: each holds it, and none is narrower
than half of all there is; those of the face's size and sharpness reach from 0 to 1. Ten clips could not show more, and
the real clip and the face swap of one scene score alike in motion and light. The analyses of scores can only be
measured with a detector whose scores they are (`models.temporal.clips.read_clips` takes a scorer), and on clips that
it did not learn. Findings are shown to moderators with weight 0; none moves a score. A weight may be raised only by a
measurement with `separates` on many clips of several kinds of manipulation, whose fakes and reals are alike in size,
sharpness and movement.
"""

from collections.abc import Mapping
from types import MappingProxyType

from models.temporal.analysis import ANALYSES

WEIGHTS: Mapping[str, float] = MappingProxyType(dict.fromkeys(ANALYSES, 0.0))
"""By analysis."""

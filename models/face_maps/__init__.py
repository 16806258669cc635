"""How the answers of face detectors are read: which outputs there are, and where in them the faces lie."""

from collections.abc import Mapping
from types import MappingProxyType

from models.face_maps import centerface, yunet
from models.face_maps.maps import FaceMaps

FACE_MAPS: Mapping[str, FaceMaps] = MappingProxyType({"centerface": centerface.MAPS, "yunet": yunet.MAPS})
"""By the layout of a manifest entry's output."""

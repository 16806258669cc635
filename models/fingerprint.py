"""Hashes that say which models, preprocessing and calibration made a score."""

import hashlib
from collections.abc import Iterable

import orjson

from models.manifest import Entry

# Raised whenever models/graph.py builds a different graph from the same entry.
GRAPH_VERSION = 1


def preprocessing_hash(entry: Entry) -> str:
    """Hash of everything done to a face before the network sees it: crop, size, colour, scale, mean, std."""
    return _hash(entry.input.model_dump(mode="json"))


def graph_hash(entry: Entry) -> str:
    """Hash of everything that decides a prepared graph; it names the graph in the cache."""
    return _hash(
        {
            "weights": entry.source.sha256,
            "head": entry.head.sha256 if entry.head else None,
            "preprocessing": preprocessing_hash(entry),
            "output": entry.output.model_dump(mode="json", exclude={"threshold", "thresholds"}),
            "graph_version": GRAPH_VERSION,
        }
    )


def model_set_fingerprint(entries: Iterable[Entry], fusion: str | None = None) -> str:
    """Hash of a set of models, whatever their order: same fingerprint, same scores and same decisions.

    Args:
        entries: the models.
        fusion: checksum of the learnt weights that fuse them, where there are some.
    """
    models = sorted(
        (
            [entry.name, entry.version, entry.role, graph_hash(entry), entry.output.threshold, entry.output.thresholds]
            for entry in entries
        ),
        key=lambda model: str(model[0]),
    )
    return _hash(models if fusion is None else {"models": models, "fusion": fusion})


def _hash(value: object) -> str:
    """128 bits of SHA-256 over canonical JSON, in hex."""
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]

"""Which layers of the encoder carry what generalises: the same probe on each of them.

Inner layers of CLIP keep low-level traces of generators that its last layer has traded for meaning (RINE, Koutlis &
Papadopoulos, ECCV 2024, https://arxiv.org/abs/2402.19091), and as well traces of where reals come from: so each layer
is tried against reals of another source, too.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from models.fitting.faces import LabelledFace
from models.fitting.probe import Part, fit_logistic, scores_of
from models.fitting.report import LayerTrial
from models.manifest import Entry, TokensSpec
from models.statistics import auc

# What the encoder's residual stream is called after each of its blocks.
BLOCKS = (*(f"/vision_model/encoder/layers.{block}/Add_1_output_0" for block in range(11)), "onnx::Gather_1524")
EVERY = tuple(TokensSpec(tensor=name, pooling=pooling) for name in BLOCKS for pooling in ("cls", "mean", "max"))
# Faces of a folder that layers are tried on: every layer's tokens are kept of each.
FACES_A_GROUP = 300


def with_every_layer(entry: Entry) -> Entry:
    """The entry with an embedding made of all layers' tokens, in the order of `EVERY`."""
    output = entry.output.model_copy(update={"tokens": EVERY, "name": None})
    return entry.model_copy(update={"output": output})


def layer_name(tokens: TokensSpec) -> str:
    """How tokens are called in a report: `6 mean` is the mean over the tokens after the sixth block."""
    return f"{BLOCKS.index(tokens.tensor) + 1} {tokens.pooling}"


def some_of_each(faces: Iterable[LabelledFace]) -> list[LabelledFace]:
    """The first `FACES_A_GROUP` of each folder."""
    counts: dict[str, int] = {}
    chosen = []
    for face in faces:
        counts[face.group] = counts.get(face.group, 0) + 1
        chosen += [face] if counts[face.group] <= FACES_A_GROUP else []
    return chosen


def try_layers(
    fit: Part, reals: Part, elsewhere: Part, generators: tuple[str, str], served: Sequence[TokensSpec]
) -> Iterator[LayerTrial]:
    """Each layer's tokens alone, then those served together: fitted on one generator, tested on the other's fakes.

    Args:
        fit: embedded by `with_every_layer`: reals to fit on, and fakes of both generators.
        reals: embedded alike: other reals of the same sources, to test on.
        elsewhere: embedded alike: reals of sources that `fit` has none of.
        generators: the two folders of fakes.
        served: tokens that the entry embeds by, out of `EVERY`.
    """
    together = [] if len(served) < 2 else [tuple(served)]
    for tokens in (*((each,) for each in EVERY), *together):
        known = _only(fit, tokens)
        tests = [_only(part, tokens).embeddings[:, 0] for part in (reals, elsewhere)]
        areas: list[list[float]] = []
        for unseen, seen in (generators, generators[::-1]):
            head = fit_logistic(known.of_generator(seen))
            fakes = [at for at, face in enumerate(known.faces) if face.group == unseen]
            fake_scores = scores_of(head, known.embeddings[fakes, 0])
            areas.append([auc(scores_of(head, test), fake_scores) for test in tests])
        near, far = zip(*areas, strict=True)
        yield LayerTrial(tokens=tuple(map(layer_name, tokens)), auc=near, elsewhere=far)


def _only(part: Part, tokens: Sequence[TokensSpec]) -> Part:
    """The part with the embeddings of some tokens."""
    width = part.embeddings.shape[-1] // len(EVERY)
    columns = [np.arange(width) + EVERY.index(each) * width for each in tokens]
    return replace(part, embeddings=part.embeddings[..., np.concatenate(columns)])

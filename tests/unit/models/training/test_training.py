"""Training itself. It needs the extra `train`; without it these tests are skipped."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

# ruff: noqa: E402 - what needs torch is imported only where there is one

torch = pytest.importorskip("torch", reason="the extra `train` is not installed: pip install '.[train]'")

import onnxruntime as ort

from models.training.export import export, load_trained
from models.training.network import BlendDetector
from models.training.recipe import Point, Recipe
from models.training.training import CHECKPOINT, train
from tests.unit.models.training.test_blending import ASTRONAUT

PORTRAITS = tuple(replace(ASTRONAUT, name=f"folder/{number}.jpg") for number in range(6))
RECIPE = Recipe(size=64, steps=4, pairs=2, learning_rate=1e-3)


def trained(folder: Path, recipe: Recipe = RECIPE, **options: object) -> tuple[BlendDetector, list[Point]]:
    points: list[Point] = []
    network = train(
        PORTRAITS,
        PORTRAITS[:2],
        recipe,
        folder,
        every=2,
        validate_every=4,
        on_point=lambda point, _: points.append(point),
        **options,  # type: ignore[arg-type]
    )
    return network, points


def test_an_interrupted_training_ends_as_one_that_was_not(tmp_path: Path) -> None:
    whole, _ = trained(tmp_path / "whole")
    trained(tmp_path / "parts", stop_at=2)
    parts, points = trained(tmp_path / "parts")
    assert [point.step for point in points] == [4]
    for (name, mine), theirs in zip(whole.state_dict().items(), parts.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, theirs, msg=name)


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    trained(tmp_path, stop_at=2)
    with pytest.raises(ValueError, match="another recipe"):
        trained(tmp_path, replace(RECIPE, learning_rate=2e-3))


def test_fixed_norms_keep_the_statistics_that_they_started_with(tmp_path: Path) -> None:
    trained(tmp_path / "first", stop_at=2)
    start = load_trained(tmp_path / "first" / CHECKPOINT).state_dict()
    network, _ = trained(tmp_path / "second", start_from=tmp_path / "first" / CHECKPOINT)
    free, _ = trained(tmp_path / "third", replace(RECIPE, fixed_norm=False), start_from=tmp_path / "first" / CHECKPOINT)
    name = "backbone.bn1.running_mean"
    torch.testing.assert_close(network.state_dict()[name], start[name])
    assert (free.state_dict()[name] != start[name]).any()


def test_the_exported_graph_answers_as_the_network_and_its_logit_is_that_of_the_map_s_mean(tmp_path: Path) -> None:
    network, _ = trained(tmp_path)
    export(network, 64, tmp_path / "graph.onnx")
    crops = np.random.default_rng(3).integers(0, 256, (3, 64, 64, 3), np.uint8)
    with torch.inference_mode():
        logits, where = network(torch.from_numpy(crops))
    mean, std = (part.reshape(3).numpy() / 255 for part in (network.mean, network.std))
    images = ((crops / 255 - mean) / std).transpose(0, 3, 1, 2).astype(np.float32)
    session = ort.InferenceSession(tmp_path / "graph.onnx", providers=["CPUExecutionProvider"])
    logit, cells = session.run(["logit", "cells"], {"input": images})
    np.testing.assert_allclose(logit[:, 0], logits.numpy(), atol=1e-4)
    np.testing.assert_allclose(cells, where.numpy(), atol=1e-4)
    share = (1 / (1 + np.exp(-cells))).mean((1, 2))
    scale, bias = float(network.scale), float(network.bias)
    np.testing.assert_allclose(logit[:, 0], scale * np.log(share / (1 - share)) + bias, atol=1e-4)


def test_a_checkpoint_with_further_stages_can_be_begun_from(tmp_path: Path) -> None:
    trained(tmp_path, stop_at=2)
    checkpoint = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    checkpoint["averaged"]["backbone.blocks.5.0.conv_pw.weight"] = torch.zeros(3)
    torch.save(checkpoint, tmp_path / "whole.pt")
    torch.testing.assert_close(
        load_trained(tmp_path / "whole.pt").state_dict(), load_trained(tmp_path / CHECKPOINT).state_dict()
    )


def test_a_checkpoint_that_lacks_a_weight_of_the_backbone_is_refused(tmp_path: Path) -> None:
    trained(tmp_path, stop_at=2)
    checkpoint = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    del checkpoint["averaged"]["backbone.conv_stem.weight"]
    torch.save(checkpoint, tmp_path / "less.pt")
    with pytest.raises(ValueError, match=r"lacks backbone\.conv_stem\.weight"):
        load_trained(tmp_path / "less.pt")

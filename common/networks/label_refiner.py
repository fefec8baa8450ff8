"""The second head of predictive registration: refined labels, and how wrong they will be."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..spatial import resize_map
from .unet import CONV, set_bias

LEAST_UNCERTAINTY, LARGEST_LOG = 0.01, 2.0  # of an expected error that is 1 at most
FIRST_UNCERTAINTY = 0.1
SURE = 0.01  # of a class that the warped label does not have: the refiner can still bring it back


class LabelRefiner(nn.Module):
    """Refine warped labels and predict their error, from a displacement estimator's features.

    ``u = 0.01 + exp(conv(features))`` (predictive, Sec. 3, Conv2) is positive and never stops gradients, as a clamp
    would, nor makes equals of all voxels that are sure. The refiner is one residual block on the logarithms of the
    warped labels (``softmax(log S + R)``), so that it begins as no change, and its output is a distribution over the
    classes.

    Args:
        spatial_dims: 2 or 3.
        num_classes: classes of the labels, background included.
        features: channels of the estimator's features.
        width: channels of the residual block.
    """

    def __init__(self, spatial_dims: int = 3, num_classes: int = 3, features: int = 16, width: int = 16) -> None:
        super().__init__()
        conv = CONV[spatial_dims]
        self.num_classes = num_classes
        self.first = conv(features + num_classes, width, kernel_size=3, padding=1)
        self.last = conv(width, num_classes, kernel_size=3, padding=1)
        nn.init.zeros_(self.last.weight)
        set_bias(self.last, 0.0)
        self.uncertainty = conv(features, num_classes, kernel_size=3, padding=1)
        set_bias(self.uncertainty, math.log(FIRST_UNCERTAINTY))

    def forward(self, features: Tensor, warped_label: Tensor) -> Tensor:
        """Refined labels and the logarithm of their uncertainty, (B, 2 * num_classes, *spatial), float32.

        Args:
            features: (B, features, *coarse), of the size of ``warped_label`` or a half of it.
            warped_label: (B, num_classes, *spatial), shares of the classes.
        """
        features = resize_map(features, list(warped_label.shape[2:]))
        hidden = F.leaky_relu(self.first(torch.cat([features, warped_label.to(features.dtype)], dim=1)), 0.2)
        change = self.last(hidden).float()
        refined = torch.softmax(torch.log(warped_label.float().clamp(min=SURE)) + change, dim=1)
        above = self.uncertainty(features).float().clamp(max=LARGEST_LOG)
        least = math.log(LEAST_UNCERTAINTY)
        return torch.cat([refined, F.softplus(above - least) + least], dim=1)

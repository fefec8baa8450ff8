"""What happens around a training run: loss means, averaged weights, validation, logs, progress, checkpoints."""

from .average import WeightAverage
from .checkpoint import Checkpoint
from .lines import EpochLines
from .log import CsvLog
from .losses import LossMeans
from .progress import Progress
from .snapshots import Snapshots, cycle_epochs
from .tensorboard import TensorBoardLog
from .validation import Validation

__all__ = [
    "Checkpoint",
    "CsvLog",
    "EpochLines",
    "LossMeans",
    "Progress",
    "Snapshots",
    "TensorBoardLog",
    "Validation",
    "WeightAverage",
    "cycle_epochs",
]

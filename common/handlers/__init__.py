"""What happens around a training run: loss means, validation, logs, progress, checkpoints."""

from .checkpoint import Checkpoint
from .log import CsvLog
from .losses import LossMeans
from .progress import Progress
from .snapshots import Snapshots, cycle_epochs
from .tensorboard import TensorBoardLog
from .validation import Validation

__all__ = [
    "Checkpoint",
    "CsvLog",
    "LossMeans",
    "Progress",
    "Snapshots",
    "TensorBoardLog",
    "Validation",
    "cycle_epochs",
]

"""Objectives: one file a method."""

from .adacs import AdaCSObjective
from .adaframe import AdaFrameObjective
from .adareg import AdaRegObjective
from .base import Objective, Terms
from .diff import DiffObjective
from .hetero import HeteroObjective
from .hetero_disp import HeteroDispObjective
from .mi import MIObjective
from .mse import MSEObjective
from .ncc import NCCObjective
from .nll import NLLObjective
from .predictive import PredictiveObjective
from .weak import WeakObjective

__all__ = [
    "AdaCSObjective",
    "AdaFrameObjective",
    "AdaRegObjective",
    "DiffObjective",
    "HeteroDispObjective",
    "HeteroObjective",
    "MIObjective",
    "MSEObjective",
    "NCCObjective",
    "NLLObjective",
    "Objective",
    "PredictiveObjective",
    "Terms",
    "WeakObjective",
]

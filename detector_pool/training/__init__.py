"""Training of models from a camera's own footage. `train_normality` is what others import."""

from detector_pool.training.normality import train_normality
from detector_pool.training.trained import Odd, TrainedModel

__all__ = ["Odd", "TrainedModel", "train_normality"]

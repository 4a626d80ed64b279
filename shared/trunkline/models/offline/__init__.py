"""The built-in offline model, for demonstrations, tests and benchmarks: honest about what it is."""

from trunkline.models.offline.model import MODELS, OfflineModel, tokens

__all__ = ["MODELS", "OfflineModel", "tokens"]

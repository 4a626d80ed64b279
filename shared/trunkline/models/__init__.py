"""Language models behind one port: real providers, private endpoints, and one that needs neither key nor network."""

from trunkline.models.offline import OfflineModel
from trunkline.models.port import ModelClient
from trunkline.models.registry import Models, open_models
from trunkline.models.settings import ModelSettings
from trunkline.models.tiers import resolve

__all__ = ["ModelClient", "ModelSettings", "Models", "OfflineModel", "open_models", "resolve"]

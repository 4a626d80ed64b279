"""How a Trunkline service is hosted: FastStream at its edges, the lease loop for its work."""

from trunkline.service.hosting import Service, serve
from trunkline.service.settings import ServiceSettings

__all__ = ["Service", "ServiceSettings", "serve"]

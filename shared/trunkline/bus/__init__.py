"""NATS JetStream, and the only place that knows its API."""

from trunkline.bus.append import Recorded, append
from trunkline.bus.connection import Bus
from trunkline.bus.fold import fold, last, recorded
from trunkline.bus.follow import follow
from trunkline.bus.lease import Lease, LeaseLoop
from trunkline.bus.provision import provision
from trunkline.bus.stored import StoredMessage, read_event

__all__ = [
    "Bus",
    "Lease",
    "LeaseLoop",
    "Recorded",
    "StoredMessage",
    "append",
    "fold",
    "follow",
    "last",
    "provision",
    "read_event",
    "recorded",
]

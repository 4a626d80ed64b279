"""How a service is, in its own words: the reply on its health subject."""

import msgspec


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Sent to whoever asks. `ready`: it takes work; `bus`: its connection stands; `uptime` in seconds.

    `trouble` says why it cannot write to the log at present; it is empty otherwise. `without`: what it does without for
    a while, and why, such as a model provider that keeps failing.
    """

    service: str
    ready: bool
    pid: int
    version: str = ""
    uptime: float = 0.0
    bus: bool = False
    trouble: str = ""
    without: tuple[str, ...] = ()

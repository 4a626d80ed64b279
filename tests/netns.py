"""A second network on this machine, and a wire to it that can be cut: packets vanish, and nobody is told.

`near` and `far` are the addresses of its ends. Between them is a bridge in a namespace of its own; cutting takes one
end off that bridge, so that both sides keep their addresses, their routes and a link that is up.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field

CLONE_NEWNET = 0x40000000
"""From the kernel's sched.h; Python has it from 3.12 on."""


class NoNamespaces(Exception):
    """Why there can be none here."""


@dataclass(frozen=True)
class Wire:
    """The names and addresses are this process's own."""

    name: str = field(default_factory=lambda: f"tl{os.getpid()}")

    @property
    def near(self) -> str:
        return self._address(1)

    @property
    def far(self) -> str:
        return self._address(2)

    @property
    def namespace(self) -> str:
        """In which `far` is."""
        return f"{self.name}-far"

    def cut(self) -> None:
        _ip("-n", self._between, "link", "set", "near", "nomaster")

    def mend(self) -> None:
        _ip("-n", self._between, "link", "set", "near", "master", "bridge")

    @property
    def _between(self) -> str:
        return f"{self.name}-wire"

    def _address(self, end: int) -> str:
        """In the range that is set aside for tests of networks."""
        net = os.getpid() * 4
        return f"198.18.{net // 256 % 256}.{net % 256 + end}"

    def _lay(self) -> None:
        for namespace in (self.namespace, self._between):
            _ip("netns", "add", namespace)
        _ip("link", "add", "name", self.name, "type", "veth", "peer", "name", "near", "netns", self._between)
        _ip(
            "-n",
            self._between,
            "link",
            "add",
            "name",
            "far",
            "type",
            "veth",
            "peer",
            "name",
            "eth0",
            "netns",
            self.namespace,
        )
        _ip("-n", self._between, "link", "add", "name", "bridge", "type", "bridge")
        for device in ("bridge", "near", "far"):
            _ip("-n", self._between, "link", "set", device, "up")
        for device in ("near", "far"):
            _ip("-n", self._between, "link", "set", device, "master", "bridge")
        _ip("addr", "add", f"{self.near}/30", "dev", self.name)
        _ip("link", "set", self.name, "up")
        _ip("-n", self.namespace, "addr", "add", f"{self.far}/30", "dev", "eth0")
        for device in ("lo", "eth0"):
            _ip("-n", self.namespace, "link", "set", device, "up")

    def _remove(self) -> None:
        for arguments in (
            ("link", "del", self.name),
            ("netns", "del", self.namespace),
            ("netns", "del", self._between),
        ):
            with contextlib.suppress(NoNamespaces):
                _ip(*arguments)


@contextlib.contextmanager
def laid() -> Iterator[Wire]:
    """A wire while inside. Raises NoNamespaces where that needs more rights, or iproute2."""
    wire = Wire()
    try:
        wire._lay()
        yield wire
    finally:
        wire._remove()


def enter(namespace: str) -> None:
    """From now on this process has that network, and no other. Raises OSError."""
    with open(f"/run/netns/{namespace}") as opened:  # noqa: PTH123  # a descriptor is what is wanted
        if ctypes.CDLL(None, use_errno=True).setns(opened.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), namespace)


def _ip(*arguments: str) -> None:
    if shutil.which("ip") is None:
        raise NoNamespaces("there is no `ip`; the package is iproute2")
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoNamespaces(f"`ip {' '.join(arguments)}` says: {done.stderr.strip()}")

"""A bootstrap server that is asked about, and the answer to a question about it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from pytest_metersphere.dist.kafka.brokers import join_address, split_address
from pytest_metersphere.dist.strangers import HANGS_UP
from pytest_metersphere.inspection.machine import Listener
from pytest_metersphere.inspection.scene import NO_WAY, Scene
from pytest_metersphere.inspection.values import ContainerStatus, ServerStatus

IN_PROPERTIES = "# in the broker's server.properties; then restart it"
"""Comment of a line that is no command."""
METERSPHERE = "# when it is MeterSphere's own"
"""Comment of a command of MeterSphere's installer."""


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """A bootstrap server, and what there is to say about it.

    Attributes:
        server: how it is.
        brokers: where it sends its clients, and how it is there.
        scene: what surrounds it.
        protocol: the security protocol that is spoken with it.
    """

    server: ServerStatus
    brokers: Sequence[ServerStatus]
    scene: Scene
    protocol: str = "PLAINTEXT"

    @property
    def host(self) -> str:
        """Return its host as it was written."""
        return split_address(self.server.address)[0]

    @property
    def port(self) -> int:
        """Return its port."""
        return split_address(self.server.address)[1]

    @property
    def no_way(self) -> bool:
        """Return whether no connection to it was made."""
        return self.server.state in NO_WAY

    @property
    def found(self) -> str:
        """Return what was found there, without advice."""
        return self.server.detail.partition("; ")[0]

    @property
    def stopped_here(self) -> bool:
        """Return whether a rule of this machine certainly ends the connection, be it by a refusal."""
        return any(each.certain for each in self.scene.filter.blocks)

    @property
    def publisher(self) -> ContainerStatus | None:
        """Return the container of this machine that is reached at this very address, None without one."""
        container = self.scene.container
        return container if container and any(map(self._is_asked, container.ports)) else None

    def _is_asked(self, place: str) -> bool:
        outside, _, inside = place.partition("->")
        host, _, port = outside.rpartition(":")
        if not inside.endswith("/tcp") or port != str(self.port):
            return False
        try:
            return Listener(host.strip("[]") or "::", self.port, 0).serves(self.scene.address)
        except ValueError:
            return False

    @property
    def takes_nothing(self) -> bool:
        """Return whether whoever is there says no word: what Docker's proxy does for a dead broker, too."""
        hung_up = self.server.state == "not kafka" and self.found.startswith(HANGS_UP)
        return hung_up or self.server.state in ("refused", "silent")

    def elsewhere(self) -> list[int]:
        """Return the other ports of its machine on which Kafka answers."""
        return [port for port, answer in self.scene.others.items() if answer == "kafka"]

    def instead(self) -> list[str]:
        """Return the commands that use Kafka on these ports."""
        return [f"pytest --ms-kafka={join_address(self.host, port)}" for port in self.elsewhere()]


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one question.

    Attributes:
        ok: yes or no; None when it cannot be known from here.
        detail: what was found.
        commands: what sets it right, or tells more.
    """

    ok: bool | None
    detail: str
    commands: list[str] = dataclasses.field(default_factory=list)

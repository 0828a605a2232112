"""Certificates for nodes of tests, signed by an authority of the test's own."""

from __future__ import annotations

import datetime
from pathlib import Path

import trustme

from pytest_metersphere.dist.node.config import tls_context
from tests.fakes.nodes import NodeThread, config


class Authority:
    """Signs certificates and keeps them in a folder.

    Attributes:
        cafile: file of its own certificate.
    """

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._ca = trustme.CA()
        self._folder = folder
        self.cafile = str(folder / f"{name}.pem")
        self._ca.cert_pem.write_to_path(self.cafile)

    def certificate(self, *hosts: str, expired: bool = False) -> tuple[Path, Path]:
        """Return the files of a certificate for these names and addresses, and of its key."""
        end = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC) if expired else None
        issued = self._ca.issue_cert(*hosts, not_after=end)
        cert, key = self._folder / f"{hosts[0]}.pem", self._folder / f"{hosts[0]}.key"
        cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(key))
        return cert, key

    def node(self, *hosts: str, expired: bool = False, host: str = "127.0.0.1") -> NodeThread:
        """Return a node on an address that shows such a certificate."""
        context = tls_context(*self.certificate(*hosts, expired=expired))
        return NodeThread(config(host=host, tls=context), self.cafile)

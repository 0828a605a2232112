"""The one TLS context of the process."""

from __future__ import annotations

import functools
import ssl


@functools.cache
def tls_context() -> ssl.SSLContext:
    """Return the one TLS context of the process, which verifies against the system's store.

    Building it takes milliseconds. It offers HTTP/1.1 alone.
    """
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context

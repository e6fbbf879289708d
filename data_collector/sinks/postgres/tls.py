"""TLS to PostgreSQL: asked for means verified.

To libpq, `sslmode=require` is an encrypted connection to whoever answers. Here every mode that asks for TLS checks the
certificate and the host name, as `rediss://` does.
"""

from __future__ import annotations

import ssl
from urllib.parse import parse_qsl

from data_collector.model.errors import Misconfigured

ASKING = frozenset({"require", "verify-ca", "verify-full"})
"""Values of `sslmode` that ask for TLS; the others leave it to the server, and nothing is verified then."""


def tls_context(dsn: str) -> ssl.SSLContext | None:
    """For a URL that asks for TLS; None for one that does not. Raises `Misconfigured` for a file that cannot be read.

    `sslrootcert` names one's own authority, `sslcert` and `sslkey` the certificate of a client.
    """
    asked = dict(parse_qsl(dsn.partition("?")[2]))
    if asked.get("sslmode") not in ASKING:
        return None
    try:
        context = ssl.create_default_context(cafile=asked.get("sslrootcert"))
        if "sslcert" in asked:
            context.load_cert_chain(asked["sslcert"], asked.get("sslkey"))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise Misconfigured(f"a certificate or key that DATABASE_URL names cannot be read: {reason}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context

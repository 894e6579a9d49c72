"""A run's own certificate authority: the fake server's certificate, and the files that make a client trust it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Authority:
    """One certificate authority, made for one call of ours; valid for `127.0.0.1` and `localhost`."""

    server_context: ssl.SSLContext
    ca_file: Path
    """The test CA alone (PEM)."""
    bundle_file: Path
    """The system's CAs and the test CA, so that a client's other hosts still work (PEM)."""


def make_authority(folder: Path) -> Authority:
    """A new authority with its files in `folder`, which must exist. Takes about 0.1 s."""
    import trustme  # not at the top: it takes longer to import than all the rest of a `harness --help`

    authority = trustme.CA(organization_name="Live API harness", organization_unit_name="test runs only")
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.minimum_version = ssl.TLSVersion.TLSv1_2
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(server_context)
    own_pem = authority.cert_pem.bytes()
    ca_file = folder / "test-ca.pem"
    bundle_file = folder / "system-and-test-ca.pem"
    ca_file.write_bytes(own_pem)
    bundle_file.write_bytes(_system_pem().rstrip(b"\n") + b"\n" + own_pem)
    return Authority(server_context, ca_file, bundle_file)


def _system_pem() -> bytes:
    """The CAs that this machine trusts; those of `certifi` where the system has none; empty where neither is there."""
    paths = ssl.get_default_verify_paths()
    candidates = [paths.cafile, paths.openssl_cafile, *_elsewhere()]
    for candidate in candidates:
        if candidate and Path(candidate).is_file():
            return Path(candidate).read_bytes()
    return b""


def _elsewhere() -> list[str]:
    found = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"]
    try:
        import certifi
    except ImportError:
        return found
    return [*found, certifi.where()]

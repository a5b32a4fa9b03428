"""Two certificates for loopback: one that the gateways trust, and one that nobody does."""

import ssl
import subprocess
from pathlib import Path

_DAYS = "2"


def made(directory: Path, name: str) -> Path:
    """A self-signed certificate and its key in one PEM file; needs the `openssl` command."""
    certificate, key = directory / f"{name}.crt", directory / f"{name}.key"
    subject = ("-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1")
    files = ("-keyout", str(key), "-out", str(certificate))
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", _DAYS)
    command = ["openssl", "req", "-x509", *curve, *subject, *files]
    subprocess.run(command, check=True, capture_output=True)
    both = directory / f"{name}.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    return both


def context(pem: Path) -> ssl.SSLContext:
    """What a server with this certificate speaks."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pem)
    return tls

"""What makes a cluster's API private: a CA, the server's certificate, bearer tokens, and the kubeconfig that names them.

The CA signs one certificate and its private key is discarded: it can't issue another one. Every file is written under
a temporary name with mode 0600 and moved into place, so that a reader never sees a partial file.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import os
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from kubeproc import embedder
from kubeproc.errors import HintedError
from kubeproc.folder import ClusterFolder

ADMIN, KUBELET = "kubernetes-admin", "system:node:labkit"
NAMES = ("localhost", *(f"kubernetes{rest}" for rest in ("", ".default", ".default.svc", ".default.svc.cluster.local")))
SERVICE_IP = "10.96.0.1"  # of the Service `kubernetes`, where pods have a network of their own
VALID = timedelta(days=3650)


def prepare(folder: ClusterFolder, port: int) -> None:
    """Create the cluster's missing credentials and a kubeconfig for `port`. Safe to repeat."""
    for path in (folder.root, folder.run, folder.log):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.chmod(folder.root, 0o700)
    if not (folder.ca.exists() and folder.certificate.exists() and folder.key.exists()):
        _certificates(folder)
    if not folder.tokens.exists():
        tokens = {
            secrets.token_urlsafe(32): {"name": ADMIN, "groups": ["system:masters"]},
            secrets.token_urlsafe(32): {"name": KUBELET, "groups": ["system:nodes"]},
        }
        _write(folder.tokens, json.dumps(tokens, indent=1).encode())
    signing_key(folder)
    config = json.dumps(kubeconfig(folder, port), indent=1).encode()
    if not folder.kubeconfig.exists() or folder.kubeconfig.read_bytes() != config:
        _write(folder.kubeconfig, config)


def token(folder: ClusterFolder, name: str = ADMIN) -> str:
    """The bearer token of a user of `tokens.json`; HintedError if the file has none."""
    try:
        listed = json.loads(folder.tokens.read_text())
        return next(secret for secret, user in listed.items() if user["name"] == name)
    except (ValueError, TypeError, AttributeError, KeyError, StopIteration) as error:
        now = embedder.current()
        hint = f"{now.down}, delete the file, then {now.up}, which writes a new one"
        raise HintedError(f"{folder.tokens} is damaged: it has no token for {name}", hint) from error


def signing_key(folder: ClusterFolder) -> bytes:
    """The key that signs service account tokens, created by the first call."""
    path = folder.root / "serviceaccounts.key"
    if not path.exists():
        _write(path, secrets.token_bytes(32))
    return path.read_bytes()


def kubeconfig(folder: ClusterFolder, port: int) -> dict[str, Any]:
    """A kubeconfig, written as JSON, with all credentials inline: it refers to no other file."""
    name = folder.root.name
    server = {
        "server": f"https://127.0.0.1:{port}",
        "certificate-authority-data": base64.b64encode(folder.ca.read_bytes()).decode(),
    }
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": server}],
        "users": [{"name": name, "user": {"token": token(folder)}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": "default"}}],
        "current-context": name,
    }


def _certificates(folder: ClusterFolder) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    def builder(subject: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        start = datetime.now(UTC) - timedelta(days=1)
        return (
            x509.CertificateBuilder()
            .subject_name(named(subject))
            .issuer_name(named("labkit-ca"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + VALID)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        )

    def usage(ca: bool) -> x509.KeyUsage:
        return x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False)

    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = (
        builder("labkit-ca", ca_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage(ca=True), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    names: list[x509.GeneralName] = [x509.DNSName(n) for n in NAMES]
    names += [x509.IPAddress(ipaddress.ip_address(ip)) for ip in ("127.0.0.1", SERVICE_IP)]
    server = (
        builder("labkit-server", key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _write(folder.key, private)
    _write(folder.certificate, server.public_bytes(pem))
    _write(folder.ca, ca.public_bytes(pem))


def _write(path: Path, content: bytes) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.unlink(missing_ok=True)
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    part.replace(path)

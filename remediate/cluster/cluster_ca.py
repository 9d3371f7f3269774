"""The cluster's CA, as a control-plane node has it."""

import hashlib

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import Certificate, load_pem_x509_certificate

from facts.cluster import kubernetes
from hale.install.phase import Observations
from hale.inventory.ini import Host
from hale.model.errors import UserError


def digest(observations: Observations, host: Host) -> str:
    """The SHA-256 of the CA's certificate, as `certificate_digest` has it. Raises UserError."""
    return _ca(observations, host).fingerprint(SHA256()).hex()


def _ca(observations: Observations, host: Host) -> Certificate:
    file = observations.of(host.name, kubernetes.SUBJECT).file(kubernetes.CA)
    if file is None:
        raise UserError(f"{host.name} has no {kubernetes.CA}.")
    return load_pem_x509_certificate("\n".join(file.lines).encode())


def pin(observations: Observations, host: Host) -> str:
    """The CA's public key as kubeadm's discovery knows it: sha256:HEX, RFC 7469's pin."""
    certificate = _ca(observations, host)
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"sha256:{hashlib.sha256(key).hexdigest()}"

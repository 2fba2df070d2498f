"""The nginx of docker/proxy, as a process of its own before servers of a test."""

import datetime
import os
import shutil
import socket
import ssl
import subprocess
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.services import free_port
from tests.system import BASE_DIR

PROGRAM = shutil.which("nginx") or "/usr/sbin/nginx"


class Proxy:
    """nginx with the shipped configuration; only its names, ports and folders are those of the test."""

    def __init__(self, folder: Path, *, web: int, mlflow: int) -> None:
        self.port, self.mlflow_port = free_port(), free_port()
        _make_certificate(folder)
        text = (BASE_DIR / "docker" / "proxy" / "nginx.conf").read_text()
        for shipped, here in (
            ("/tmp/", f"{folder}/"),  # first: `folder` may lie there too
            ("web:8000", f"127.0.0.1:{web}"),
            ("mlflow:5000", f"127.0.0.1:{mlflow}"),
            ("listen 8080", f"listen 127.0.0.1:{free_port()}"),
            ("listen 8443", f"listen 127.0.0.1:{self.port}"),
            ("listen 8444", f"listen 127.0.0.1:{self.mlflow_port}"),
            ("/run/secrets/", f"{folder}/"),
        ):
            assert shipped in text, shipped
            text = text.replace(shipped, here)
        self.config = folder / "nginx.conf"
        self.config.write_text(("user root;\n" if os.geteuid() == 0 else "") + text)
        self.process: subprocess.Popen[bytes] | None = None

    def check(self) -> str:
        """What nginx says of the configuration."""
        done = subprocess.run([PROGRAM, "-t", "-c", str(self.config)], capture_output=True, text=True, check=False)
        return done.stderr if done.returncode else ""

    def start(self) -> None:
        self.process = subprocess.Popen([PROGRAM, "-c", str(self.config), "-g", "daemon off;"])
        for _ in range(100):
            try:
                self.connect().close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError("nginx does not answer")

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=10)

    def connect(self, port: int = 0) -> ssl.SSLSocket:
        """A TLS connection to the proxy, which shows a certificate of the test."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context.wrap_socket(socket.create_connection(("127.0.0.1", port or self.port), timeout=20))


def _make_certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    (folder / "tls_certificate").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "tls_key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )

"""Certificate authorities of the suites' own."""

import subprocess

OPENSSL = """
[req]
distinguished_name = name
prompt = no
[name]
CN = %s
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
[server]
basicConstraints = critical, CA:FALSE
subjectAltName = DNS:localhost, IP:127.0.0.1
"""


class Authority:
    """A certificate authority of its own, and what it signs."""

    def __init__(self, folder, name: str):
        self.folder, self.name = folder, name
        self.ca = folder / f"{name}-ca.pem"
        self.make("authority", self.ca, folder / f"{name}-ca.key", [])

    def sign(self, cert, key) -> None:
        """Puts a fresh certificate for `localhost` and its key into two files."""
        self.make("server", cert, key, ["-CA", str(self.ca), "-CAkey", str(self.folder / f"{self.name}-ca.key")])

    def make(self, section: str, cert, key, signer: list[str]) -> None:
        config = self.folder / f"{self.name}-{section}.cnf"
        config.write_text(OPENSSL % f"{self.name} {section}")
        made = [cert.with_suffix(".made"), key.with_suffix(".key-made")]
        command = ["openssl", "req", "-x509", "-config", str(config), "-extensions", section, "-days", "2", "-nodes"]
        command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", *signer]
        subprocess.run([*command, "-out", str(made[0]), "-keyout", str(made[1])], check=True, capture_output=True)
        made[1].rename(key)
        made[0].rename(cert)

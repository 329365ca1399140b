"""Stands in for the installer that ansible-test downloads: the standard library's pip fetches the pip asked for."""

from __future__ import annotations

import subprocess
import sys

asked = [argument for argument in sys.argv[1:] if argument not in ("--no-setuptools", "--no-wheel")]
subprocess.run([sys.executable, "-m", "ensurepip", "--upgrade"], check=True)
sys.exit(subprocess.run([sys.executable, "-m", "pip", "install", *asked], check=False).returncode)

"""`labkit ui` on the real cluster: Argo's own pages and API through the forwarded port, with the token that is printed."""

from __future__ import annotations

import json
import signal
import ssl
import subprocess
import sys
from urllib.request import Request, urlopen

import pytest

from processes import interruptible

from .conftest import NAME

pytestmark = [pytest.mark.kind, pytest.mark.timeout(1800)]


def test_the_pages_and_what_is_behind_them_come_until_ctrl_c(made: dict) -> None:
    command = [sys.executable, "-m", "labkit.cli", "ui", "--name", NAME, "--no-browser"]
    unchecked = ssl.create_default_context()  # argo-server signs its own certificate
    unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=interruptible
    )
    try:
        assert process.stdout
        said = []
        for line in process.stdout:
            said.append(line.strip())
            if line.startswith("Ctrl-C"):
                break
        address = said[0].split()[0]
        token = next(line for line in said if line.startswith("Bearer "))
        assert address.startswith("https://127.0.0.1:")
        with urlopen(address, context=unchecked, timeout=20) as page:
            assert b"<title>Argo" in page.read()
        asked = Request(f"{address}api/v1/workflows/default", headers={"Authorization": token})
        with urlopen(asked, context=unchecked, timeout=20) as answer:
            assert "metadata" in json.load(answer)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130
    finally:
        process.kill()
        process.communicate()

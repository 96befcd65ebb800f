"""Two runs of one cluster have one normal form, whatever letters and ports they were given."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from kubeproc.names import ALPHABET, LETTERS

from .normal import Normal

letters = st.text(ALPHABET, min_size=LETTERS, max_size=LETTERS)
ports = st.integers(20000, 39999)


@given(letters)
@example("24567")  # reads as a port
@example("2d4h5")  # reads as a duration
def test_a_generated_name_is_masked_whatever_its_letters_are(suffix: str) -> None:
    assert Normal().text(f"Created pod: job-0-{suffix}") == "Created pod: job-0-XXXXX"
    assert Normal().printed(f"job-0-{suffix}   1/1") == ["job-0-XXXXX  1/1"]


@given(ports)
def test_a_port_is_masked_wherever_it_stands(port: int) -> None:
    assert Normal().text(f"dial tcp 127.0.0.1:{port}: refused") == "dial tcp IP:PORT: refused"
    assert Normal().text(f"port={port} ({port})") == "port=PORT (PORT)"
    assert Normal().value({"port": port, "text": str(port)}) == {"port": "PORT", "text": "PORT"}

"""Make installed packages smaller: what no import ever reads is cut off or removed. Run at the image's build.

A shared library is loaded by its program headers; the symbol tables that follow the last loaded segment are for debuggers
(a quarter of TensorFlow's largest library). They are cut off with the section headers, as sstrip does.
"""

import shutil
import struct
import sys
from pathlib import Path

UNUSED = ("tensorflow/include", "clang", "pip", "setuptools")
WORTH = 1 << 20  # bytes; less is not worth a change
SERVICES = ("s3", "sts", "sso", "sso-oidc")  # of botocore's 400, those that s3fs uses


def loaded(content: bytes) -> int:
    """Where the last segment of a 64-bit little-endian ELF file ends."""
    offset, size, count = struct.unpack_from("<Q", content, 32)[0], *struct.unpack_from("<HH", content, 54)
    if offset + size * count > len(content):
        return sys.maxsize  # the headers were moved to the end of the file: leave it
    ends = [64, offset + size * count]
    for number in range(count):
        at, _, _, length = struct.unpack_from("<QQQQ", content, offset + number * size + 8)
        ends.append(at + length)
    return max(ends)


def cut(path: Path) -> None:
    with path.open("r+b") as file:
        content = file.read(1 << 16)
        if content[:6] != b"\x7fELF\x02\x01":
            return
        end = loaded(content)
        if path.stat().st_size - end < WORTH:
            return
        file.seek(40)
        file.write(bytes(8))  # no section headers
        file.seek(58)
        file.write(struct.pack("<HHH", 64, 0, 0))
        file.truncate(end)


packages = Path(sys.argv[1])
for name in UNUSED:
    shutil.rmtree(packages / name, ignore_errors=True)
for folder in packages.rglob("tests"):
    shutil.rmtree(folder, ignore_errors=True)
for folder in (packages / "botocore" / "data").glob("*/"):
    if folder.name not in SERVICES:
        shutil.rmtree(folder)
for library in packages.rglob("*.so*"):
    if library.is_file() and not library.is_symlink():
        cut(library)

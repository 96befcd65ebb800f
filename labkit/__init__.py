"""labkit: a lab kit for a course on distributed machine learning. Importing it never imports TensorFlow."""

import sys

__version__ = "0.1.0"

if sys.version_info < (3, 11):  # noqa: UP036 - said before anything is imported that an older Python cannot read
    found = f"{sys.executable} is {sys.version_info[0]}.{sys.version_info[1]}"
    hint = "make course PYTHON=python3.11, or: conda env create -f environment.yml"
    raise ImportError(f"labkit needs Python 3.11 to 3.13, {found}\n  hint: {hint}")

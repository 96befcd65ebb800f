"""The course's data sets, for a notebook: `from labkit import data`, as the pods have them in `labkit.course.data`."""

from labkit.course.data import *  # noqa: F403
from labkit.course.data import __all__ as __all__

"""Data sets, their shards and their versions.

A data set is loaded whole (`load`), or made up at any size (`generated`), checked (`validate`), cut into a training,
a validation and a test part (`split`), and written as shards with a manifest (`write`, `read`). Everything travels by
URL: a folder, or whatever fsspec knows, such as `s3://bucket/folder`.
"""

from labkit.course.data.dataset import Dataset, split, subset, validate
from labkit.course.data.shards import STRATEGIES, partition, read, read_manifest, read_shard, verify, write
from labkit.course.data.sources import DATASETS, load

__all__ = [
    "DATASETS",
    "STRATEGIES",
    "Dataset",
    "load",
    "partition",
    "read",
    "read_manifest",
    "read_shard",
    "split",
    "subset",
    "validate",
    "verify",
    "write",
]

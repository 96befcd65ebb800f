"""Data ingestion: find or download the data, check them, hold out two parts, write shards, and give it all a version.

The folder is named by what was asked for, so the same request finds the data that are there already; they are read
against their checksums before they are reused, and written again if damaged.
"""

from __future__ import annotations

import sys

from labkit.course import data
from labkit.course.data import storage
from labkit.course.pipeline import step
from labkit.errors import LabError


def run(arguments: list[str]) -> None:
    parser = step.parser("ingest", "Read, check, split and shard a data set.")
    parser.add_argument("--dataset", default="auto", choices=list(data.DATASETS))
    parser.add_argument("--size", type=int, default=0, help="examples to take; 0 for all")
    parser.add_argument("--shards", type=int, default=3, help="of the training part")
    parser.add_argument("--strategy", default="stratified", choices=list(data.STRATEGIES), help="way of sharding")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", required=True, metavar="URL", help="folder below which the data get theirs")
    options = parser.parse_args(arguments)

    name = f"{options.dataset}-{options.size or 'all'}-{options.strategy}-{options.shards}-seed-{options.seed}"
    url = storage.join(options.out, name)
    manifest = reusable(url)
    if manifest is None:
        manifest = ingest(url, options.dataset, options.size, options.shards, options.strategy, options.seed)
    counts = ", ".join(f"{part['examples']} {name}" for name, part in manifest["parts"].items())
    print(f"{manifest['dataset']} from {manifest['source']}: {counts} examples", flush=True)
    step.output(
        options.outputs,
        {"url": url, "version": manifest["version"], "dataset": manifest["dataset"], "source": manifest["source"]},
    )


def reusable(url: str) -> dict | None:
    """The manifest of sound data that are there already."""
    if not storage.exists(storage.join(url, data.shards.MANIFEST)):
        return None
    try:
        manifest = data.verify(url)
    except LabError as error:
        print(f"written again: {error.message}", flush=True)
        return None
    print(f"reused, every checksum is right: {url}", flush=True)
    return manifest


def ingest(url: str, dataset: str, size: int, shards: int, strategy: str, seed: int) -> dict:
    """From the source to shards: 80 % for training, 10 % to choose models by, 10 % for the final test."""
    found = data.load(dataset)
    chosen = data.subset(found, min(size, len(found)) if dataset == "auto" else size, seed)
    train, validation, test = data.split(chosen, 0.1, 0.1, seed)
    return data.write(url, {"train": train, "validation": validation, "test": test}, shards, strategy, seed)


if __name__ == "__main__":
    sys.exit(step.main(run))

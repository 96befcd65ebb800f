"""Data sets, their checks, and their shards on a disk."""

from __future__ import annotations

import errno
import functools
import gzip
import http.server
import json
import os
import re
import struct
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.course import data
from labkit.course.data import generated, sources
from labkit.errors import LabError


@pytest.fixture
def dataset():
    return generated.generate(600, side=8, seed=3)


@pytest.fixture
def folder(dataset, tmp_path):
    train, validation, test = data.split(dataset, seed=1)
    data.write(str(tmp_path / "d"), {"train": train, "validation": validation, "test": test}, shards=3)
    return tmp_path / "d"


def test_what_is_written_is_read_back(dataset, tmp_path):
    manifest = data.write(str(tmp_path), {"train": dataset}, shards=4, strategy="contiguous")
    back = data.read(str(tmp_path))
    assert np.array_equal(back.images, dataset.images)
    assert np.array_equal(back.labels, dataset.labels)
    assert [shard["examples"] for shard in manifest["parts"]["train"]["shards"]] == [150] * 4
    assert data.verify(str(tmp_path)) == manifest


def test_the_version_follows_the_content_alone(dataset, tmp_path):
    first = data.write(str(tmp_path / "a"), {"train": dataset}, shards=2)
    again = data.write(str(tmp_path / "b"), {"train": dataset}, shards=2)
    images = dataset.images.copy()
    images[5, 0, 0] ^= 1
    other = data.write(str(tmp_path / "c"), {"train": replace(dataset, images=images)}, shards=2)
    assert first["version"] == again["version"] != other["version"]


def test_the_version_is_the_same_whoever_packs_the_files(dataset, tmp_path, monkeypatch):
    first = data.write(str(tmp_path / "a"), {"train": dataset}, shards=2)
    monkeypatch.setattr(np, "savez", np.savez_compressed)
    second = data.write(str(tmp_path / "b"), {"train": dataset}, shards=2)
    assert first["parts"]["train"]["shards"][0]["sha256"] != second["parts"]["train"]["shards"][0]["sha256"]
    assert first["version"] == second["version"]
    assert np.array_equal(data.read(str(tmp_path / "b")).images, data.read(str(tmp_path / "a")).images)


def test_a_damaged_shard_is_named(folder):
    shard = folder / "train-00001.npz"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 255
    shard.write_bytes(content)
    with pytest.raises(LabError, match=r"train-00001\.npz is damaged"):
        data.read(str(folder))
    assert len(data.read(str(folder), shard=0)) == 160


def test_a_missing_shard_is_named(folder):
    (folder / "validation-00000.npz").unlink()
    with pytest.raises(LabError, match=r"validation-00000\.npz is missing"):
        data.verify(str(folder))


def test_a_manifest_whose_shards_were_changed_is_refused(folder):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["parts"]["train"]["shards"].pop()
    path.write_text(json.dumps(manifest))
    with pytest.raises(LabError, match="version does not fit"):
        data.read(str(folder))


def test_a_part_or_shard_that_is_not_there_is_refused_with_what_is(folder):
    with pytest.raises(LabError, match="train, validation, test"):
        data.read(str(folder), "holdout")
    with pytest.raises(LabError, match="none is number 3"):
        data.read(str(folder), "train", shard=3)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 300), st.integers(1, 12), st.sampled_from(sorted(data.STRATEGIES)))
def test_shards_are_disjoint_and_make_up_the_whole(size, count, strategy):
    whole = generated.generate(size, side=4)
    if count > size:
        with pytest.raises(LabError):
            data.partition(whole, count, strategy)
        return
    pieces = data.partition(whole, count, strategy)
    assert len(pieces) == count
    rows = sorted(row.tobytes() for piece in pieces for row in piece.images)
    assert rows == sorted(row.tobytes() for row in whole.images)


def test_stratified_shards_have_the_same_classes_and_contiguous_ones_keep_the_order(dataset):
    dataset = dataset.take(np.argsort(dataset.labels, kind="stable"))
    histograms = np.array([piece.histogram() for piece in data.partition(dataset, 3, "stratified")])
    assert (histograms.max(0) - histograms.min(0) <= 1).all()
    assert (np.array([piece.histogram() for piece in data.partition(dataset, 3, "contiguous")]) == 0).any()


def test_a_hashed_example_stays_where_it_was_when_others_go(dataset):
    before = {image.tobytes() for image in data.partition(dataset, 3, "hash")[1].images}
    after = {image.tobytes() for image in data.partition(dataset.take(np.arange(300)), 3, "hash")[1].images}
    assert after < before


def test_splits_and_subsets_are_disjoint_and_repeat_with_their_seed(dataset):
    parts = data.split(dataset, 0.2, 0.1, seed=5)
    assert [len(part) for part in parts] == [420, 120, 60]
    assert len({image.tobytes() for part in parts for image in part.images}) == 600
    assert np.array_equal(data.split(dataset, 0.2, 0.1, seed=5)[0].images, parts[0].images)
    assert not np.array_equal(data.split(dataset, 0.2, 0.1, seed=6)[0].images, parts[0].images)
    assert np.array_equal(data.subset(dataset, 50, 2).images, data.subset(dataset, 100, 2).images[:50])
    with pytest.raises(LabError, match="not 601"):
        data.subset(dataset, 601)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.full((600, 8, 8), np.nan)}, "image 0 holds NaN"),
        ({"images": np.zeros((600, 8, 8))}, "float64, not uint8"),
        ({"images": np.zeros((600, 64), np.uint8)}, "shape"),
        ({"labels": np.zeros(599, np.uint8)}, "599"),
        ({"labels": np.full(600, 10, np.uint8)}, "label 10 of example 0"),
        ({"labels": np.zeros(600)}, "not whole numbers"),
        ({"images": np.zeros((0, 8, 8), np.uint8), "labels": np.zeros(0, np.uint8)}, "no examples"),
    ],
)
def test_an_unsound_data_set_is_refused(dataset, change, message):
    with pytest.raises(LabError, match=message):
        data.validate(replace(dataset, **change))


def test_generated_examples_do_not_depend_on_how_they_are_streamed():
    whole = generated.generate(10_000, side=4, seed=9)
    assert len(whole) == 10_000
    parts = list(generated.stream(10_000, side=4, seed=9, start=5000, chunk=777))
    assert max(len(part) for part in parts) <= 777
    assert np.array_equal(np.concatenate([part.images for part in parts]), whole.images[5000:])


def test_digits_need_no_network_and_fit_the_same_models():
    digits = data.load("digits")
    assert digits.images.shape == (1797, 28, 28)
    assert digits.images.max() == 255


def _write_idx(path, array):
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()))


def test_fashion_mnist_is_taken_from_the_users_cache_first(tmp_path, monkeypatch):
    folder = tmp_path / "datasets" / "fashion-mnist"
    folder.mkdir(parents=True)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    for images, labels in sources.FASHION_FILES:
        _write_idx(folder / images, np.full((5, 28, 28), 7, np.uint8))
        _write_idx(folder / labels, np.arange(5, dtype=np.uint8))
    found = data.load("auto")
    assert (found.name, found.source, len(found)) == ("fashion-mnist", str(folder), 10)


def _sound(folder, count=5):
    folder.mkdir(parents=True)
    for images, labels in sources.FASHION_FILES:
        _write_idx(folder / images, np.full((count, 28, 28), 7, np.uint8))
        _write_idx(folder / labels, np.arange(count, dtype=np.uint8))


def _folder(path):
    path.unlink()
    path.mkdir()


def _link_to_nowhere(path):
    path.unlink()
    path.symlink_to("nowhere")


DAMAGES = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "no gzip": lambda path: path.write_bytes(b"not gzip"),
    "empty": lambda path: path.write_bytes(b""),
    "wrong checksum": lambda path: path.write_bytes(path.read_bytes()[:-8] + bytes(8)),
    "wrong magic number": lambda path: path.write_bytes(
        gzip.compress(b"\0\0\x0d" + gzip.decompress(path.read_bytes())[3:])
    ),
    "cut within": lambda path: path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-1])),
    "cut in its header": lambda path: path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:6])),
    "something behind it": lambda path: path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + b"x")),
    "a folder": _folder,
    "a link to nowhere": _link_to_nowhere,
}


@pytest.mark.parametrize("damage", list(DAMAGES))
@pytest.mark.parametrize("place", ["keras", "debian"])
@pytest.mark.parametrize("number", [0, 3])
def test_a_damaged_file_is_named_and_never_replaced_by_digits(tmp_path, monkeypatch, place, damage, number):
    folders = {"keras": tmp_path / "datasets" / "fashion-mnist", "debian": tmp_path / "debian"}
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(sources, "DEBIAN", folders["debian"])
    monkeypatch.setattr(sources, "DOWNLOAD", "http://127.0.0.1:9/")
    _sound(folders[place])
    file = folders[place] / sources.NAMES[number]
    DAMAGES[damage](file)
    for name in ("auto", "fashion-mnist"):
        with pytest.raises(LabError, match=re.escape(f"{file} is damaged or can't be read")):
            data.load(name)


def test_other_examples_in_the_place_of_fashion_mnists_are_noticed(tmp_path, monkeypatch):
    folder = tmp_path / "datasets" / "fashion-mnist"
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    _sound(folder)
    _write_idx(folder / sources.NAMES[3], np.zeros(10_000, np.uint8))
    with pytest.raises(LabError, match=r"t10k-labels-idx1-ubyte\.gz .* checksum is not Fashion-MNIST's"):
        data.load("auto")
    _write_idx(folder / sources.NAMES[3], np.zeros(4, np.uint8))
    with pytest.raises(LabError, match=r"t10k-images-idx3-ubyte\.gz has 5 images, .* 4 labels"):
        data.load("auto")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_named(tmp_path, monkeypatch):
    folder = tmp_path / "datasets" / "fashion-mnist"
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    _sound(folder)
    for path in (folder / sources.NAMES[0], folder):
        path.chmod(0)
        try:
            with pytest.raises(LabError, match=re.escape(f"{path}") + ".*Permission denied"):
                data.load("auto")
        finally:
            path.chmod(0o700)


@pytest.mark.parametrize("place", ["keras", "debian"])
def test_a_set_that_is_not_complete_names_what_is_missing(tmp_path, monkeypatch, place):
    folders = {"keras": tmp_path / "datasets" / "fashion-mnist", "debian": tmp_path / "debian"}
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(sources, "DEBIAN", folders["debian"])
    monkeypatch.setattr(sources, "DOWNLOAD", "http://127.0.0.1:9/")
    _sound(folders[place])
    missing = folders[place] / sources.NAMES[2]
    missing.unlink()
    before = sorted(path.name for path in folders[place].iterdir())
    with pytest.raises(LabError, match=f"there is no {re.escape(str(missing))}, and the download failed"):
        data.load("auto")
    assert sorted(path.name for path in folders[place].iterdir()) == before
    other = next(folder for name, folder in folders.items() if name != place)
    _sound(other)
    assert data.load("auto").source == str(other)


class _Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A folder that stands for where Keras downloads from."""
    folder = tmp_path / "mirror"
    _sound(folder)
    handler = functools.partial(_Files, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setattr(sources, "DOWNLOAD", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setattr(sources, "DEBIAN", tmp_path / "none")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    yield folder
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("fault", ["missing", "damaged"])
def test_a_download_that_fails_leaves_nothing(tmp_path, mirror, fault):
    sound = (mirror / sources.NAMES[3]).read_bytes()
    if fault == "missing":
        (mirror / sources.NAMES[3]).unlink()
    else:
        (mirror / sources.NAMES[3]).write_bytes(b"<html>please log in</html>")
    assert data.load("auto").name == "digits"
    assert not (tmp_path / "keras").exists()
    (mirror / sources.NAMES[3]).write_bytes(sound)
    assert data.load("auto").name == "fashion-mnist"
    assert sorted(path.name for path in sources.keras_cache().iterdir()) == sorted(sources.NAMES)


def test_a_download_that_can_not_be_written_leaves_nothing(tmp_path, mirror, monkeypatch):
    rename = Path.rename

    def fail(self, target):
        if Path(target).name == sources.NAMES[1]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return rename(self, target)

    (tmp_path / "keras").mkdir()
    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(LabError, match="No space left"):
        data.load("fashion-mnist")
    assert not list((tmp_path / "keras").iterdir())


def test_where_nothing_is_found_auto_takes_digits_and_a_request_by_name_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(sources, "DEBIAN", tmp_path / "none")
    monkeypatch.setattr(sources, "DOWNLOAD", "http://127.0.0.1:9/")
    assert data.load("auto").name == "digits"
    with pytest.raises(LabError, match="digits, which needs no network"):
        data.load("fashion-mnist")


def test_an_unknown_data_set_is_refused_with_the_known_ones():
    with pytest.raises(LabError, match="fashion-mnist"):
        data.load("imagenet")

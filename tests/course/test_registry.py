"""Versions of models, promoted and rolled back."""

from __future__ import annotations

import pytest

from labkit.course.registry import Registry
from labkit.errors import LabError


@pytest.fixture(params=["folder", "object store"])
def registry(request, tmp_path):
    return Registry(str(tmp_path) if request.param == "folder" else f"memory://{tmp_path.name}")


def test_versions_are_numbered_and_keep_where_they_came_from(registry):
    first = registry.register("clothes", "/runs/a", "data-1", {"accuracy": 0.8}, {"workflow": "a"})
    second = registry.register("clothes", "/runs/b", "data-2", {"accuracy": 0.9})
    assert [version.number for version in registry.versions("clothes")] == [1, 2]
    assert registry.version("clothes", 1) == first
    assert (first.data, first.measures, first.parents) == ("data-1", {"accuracy": 0.8}, {"workflow": "a"})
    assert second.created >= first.created
    assert registry.versions("shoes") == []


def test_registering_the_same_again_makes_no_new_version(registry):
    first = registry.register("clothes", "/runs/a", "data-1", {})
    assert registry.register("clothes", "/runs/a", "data-1", {"accuracy": 1.0}) == first
    assert len(registry.versions("clothes")) == 1


def test_a_bad_version_is_rolled_back_to_the_one_before(registry):
    for run in "abc":
        registry.register("clothes", f"/runs/{run}", "data-1", {})
    registry.promote("clothes", 1)
    registry.promote("clothes", 3)
    registry.promote("clothes", 3)
    registry.promote("clothes", 2, "trial")
    assert registry.current("clothes").number == 3
    assert registry.roll_back("clothes").number == 1
    assert registry.current("clothes").number == 1
    assert registry.current("clothes", "trial").number == 2
    with pytest.raises(LabError, match="no earlier version"):
        registry.roll_back("clothes")


def test_what_is_not_there_is_an_error_that_names_it(registry):
    with pytest.raises(LabError, match=r"clothes/1\.json is missing"):
        registry.promote("clothes", 1)
    with pytest.raises(LabError, match="no version of clothes is in production"):
        registry.current("clothes")

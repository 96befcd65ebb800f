"""Artifacts through the executor: the cluster's folder, an S3 server (rclone's), raw data and URLs."""

from __future__ import annotations

import asyncio
import http.server
import os
import stat
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from argo_serving import Pod, Served, result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from s3_store import S3, S3Server

from kubeproc.argo.executor import archives, artifacts, repository
from kubeproc.argo.executor.task import TaskError
from kubeproc.resources import CONFIGMAPS, SECRETS


def run(served: Served, template: dict, container: str, play=lambda pod: None) -> tuple[Any, Pod]:
    async def go():
        async with served.client() as api:
            pod = Pod(served.home, api, template)
            play(pod)
            return await pod.run(container), pod

    return asyncio.run(go())


def output(*listed: dict, **more: Any) -> dict:
    return {"name": "t", "container": {}, "outputs": {"artifacts": list(listed)}} | more


def takes(*listed: dict, **more: Any) -> dict:
    return {"name": "t", "container": {}, "inputs": {"artifacts": list(listed)}} | more


def saved(served: Served) -> list[dict]:
    return result(served)["outputs"]["artifacts"]  # type: ignore[index]


def fresh(pod: Pod) -> None:
    """Another pod's main: nothing of the one before is there."""
    archives.remove(pod.path("main", "/"))


def test_a_file_goes_to_the_clusters_folder_and_comes_back(served: Served) -> None:
    outcome, _ = run(served, output({"name": "a", "path": "/tmp/a.txt"}), "wait", lambda p: p.write("/tmp/a.txt", "hi"))
    assert outcome.code == 0
    kept = saved(served)[0]
    assert kept == {"name": "a", "path": "/tmp/a.txt", "s3": {"key": "wf/wf-main-123/a.tgz"}}
    stored = served.home / "artifacts/default/wf/wf-main-123/a.tgz"
    with tarfile.open(stored) as archive:
        assert archive.getnames() == ["a.txt"]
    outcome, pod = run(served, takes({**kept, "path": "/in/b.txt"}), "init", fresh)
    assert (outcome.code, outcome.message) == (0, "")
    assert pod.path("main", "/in/b.txt").read_text() == "hi"
    assert [p.name for p in stored.parent.iterdir()] == ["a.tgz"]


@pytest.mark.parametrize("archive", [None, {"tar": {"compressionLevel": 0}}, {"zip": {}}, {"none": {}}])
def test_a_folder_comes_back_as_it_was(served: Served, archive: dict | None) -> None:
    def play(pod: Pod) -> None:
        pod.write("/out/model/weights.bin", os.urandom(100_000))
        pod.write("/out/model/sub/note.txt", "ä")
        pod.path("main", "/out/model/empty").mkdir()

    asked = {"name": "model", "path": "/out/model"} | ({"archive": archive} if archive else {})
    outcome, pod = run(served, output(asked), "wait", play)
    assert (outcome.code, outcome.message) == (0, "")
    before = {p.name: p.read_bytes() for p in pod.path("main", "/out/model").rglob("*") if p.is_file()}
    outcome, pod = run(served, takes({**saved(served)[0], "path": "/models/one"}), "init", fresh)
    assert (outcome.code, outcome.message) == (0, "")
    folder = pod.path("main", "/models/one")
    assert {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before
    assert (folder / "empty").is_dir()


def test_raw_data_become_a_file_with_the_mode_asked_for(served: Served) -> None:
    asked = {"name": "s", "path": "/tools/tool", "mode": 0o755, "raw": {"data": "#!/bin/sh\n"}}
    outcome, pod = run(served, takes(asked), "init")
    assert outcome.code == 0
    file = pod.path("main", "/tools/tool")
    assert file.read_text() == "#!/bin/sh\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o755


def test_an_input_artifact_lands_in_the_volume_mounted_there(served: Served) -> None:
    volume = served.home / "volume"
    volume.mkdir()

    def play(pod: Pod) -> None:
        pod.volumes["/data"] = volume

    run(served, takes({"name": "r", "path": "/data/r", "raw": {"data": "x"}}), "init", play)
    assert (volume / "r").read_text() == "x"


def test_nothing_is_written_where_the_image_lies(served: Served) -> None:
    asked = {"name": "k", "path": "/usr/local/bin/labkit-test", "raw": {"data": "x"}}
    outcome, _ = run(served, takes(asked), "init")
    assert "/usr/local/bin/labkit-test: read-only file system" in outcome.message
    assert not Path("/usr/local/bin/labkit-test").exists()


def test_what_was_not_supplied_fails_unless_it_is_optional(served: Served) -> None:
    outcome, _ = run(served, takes({"name": "a", "path": "/a"}), "init")
    assert outcome.message == "required artifact 'a' not supplied"
    outcome, _ = run(served, takes({"name": "a", "path": "/a", "optional": True}), "init")
    assert outcome.code == 0
    gone = {"name": "a", "path": "/a", "s3": {"key": "no/such"}}
    outcome, _ = run(served, takes(gone), "init")
    assert outcome.message == "artifact a failed to load: failed to get file: The specified key does not exist."
    outcome, pod = run(served, takes(gone | {"optional": True}), "init")
    assert outcome.code == 0
    assert not pod.path("main", "/a").exists()


@pytest.mark.parametrize("key", ["../x", "a/../../x", "", "/"])
def test_a_key_can_not_leave_the_repository(tmp_path: Path, key: str) -> None:
    with pytest.raises(TaskError, match="leaves its repository"):
        artifacts.Folder(tmp_path).path(key)


def test_a_path_with_dots_is_refused(served: Served) -> None:
    outcome, _ = run(served, takes({"name": "a", "path": "/tmp/../../x", "raw": {"data": ""}}), "init")
    assert "Directory traversal is not permitted" in outcome.message


def test_a_damaged_archive_is_one_clear_error(served: Served) -> None:
    run(served, output({"name": "a", "path": "/tmp/a"}), "wait", lambda p: p.write("/tmp/a", os.urandom(200_000)))
    stored = served.home / "artifacts/default/wf/wf-main-123/a.tgz"
    stored.write_bytes(stored.read_bytes()[:100_000])
    outcome, _ = run(served, takes({**saved(served)[0], "archive": {"tar": {}}}), "init", fresh)
    assert outcome.code == 64
    assert outcome.message.startswith("artifact a failed to load: the archive is damaged: ")


def test_an_archive_that_climbs_out_of_its_folder_is_refused(served: Served, tmp_path: Path) -> None:
    folder = served.home / "artifacts/default"
    folder.mkdir(parents=True)
    (tmp_path / "evil").write_text("x")
    with tarfile.open(folder / "evil.tgz", "w:gz") as archive:
        archive.add(tmp_path / "evil", "../../../evil")
    with zipfile.ZipFile(folder / "evil.zip", "w") as archive:
        archive.writestr("../evil", "x")
    for name, how in (("evil.tgz", {"tar": {}}), ("evil.zip", {"zip": {}})):
        asked = {"name": "e", "path": "/deep/down/e", "s3": {"key": name}, "archive": how}
        outcome, pod = run(served, takes(asked), "init")
        assert outcome.code == 64, name
        assert not list(pod.path("main", "/").rglob("evil"))


def test_a_link_in_a_stored_folder_does_not_lead_out_of_the_repository(served: Served, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of the host")

    def play(pod: Pod) -> None:
        pod.write("/out/file", "x")
        pod.path("main", "/out").joinpath("link").symlink_to(tmp_path / "secret")

    outcome, _ = run(served, output({"name": "o", "path": "/out", "archive": {"none": {}}}), "wait", play)
    assert (outcome.code, outcome.message) == (0, "")
    key = saved(served)[0]["s3"]["key"] + "/link"
    outcome, _ = run(served, takes({"name": "i", "path": "/in", "s3": {"key": key}}), "init", fresh)
    assert outcome.message == f"artifact i failed to load: the artifact's key '{key}' leaves its repository"
    with pytest.raises(TaskError, match="leaves its repository"):
        artifacts.Folder(served.home / "artifacts/default").path(key)


def test_a_zip_holds_no_file_that_a_link_leads_to_outside(served: Served, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of the host")

    def play(pod: Pod) -> None:
        pod.write("/out/file", "x")
        pod.path("main", "/out").joinpath("inside").symlink_to("file")
        pod.path("main", "/out").joinpath("link").symlink_to(tmp_path / "secret")

    run(served, output({"name": "o", "path": "/out", "archive": {"zip": {}}}), "wait", play)
    with zipfile.ZipFile(served.home / "artifacts/default" / saved(served)[0]["s3"]["key"]) as archive:
        assert sorted(archive.namelist()) == ["out/file", "out/inside"]


def test_a_mode_is_given_to_files_and_not_to_what_links_lead_to(served: Served, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of the host")
    (tmp_path / "secret").chmod(0o600)
    folder = served.home / "artifacts/default/made"
    folder.mkdir(parents=True)
    (folder / "file").write_text("x")
    (folder / "link").symlink_to(tmp_path / "secret")
    asked = {"name": "i", "path": "/in", "mode": 0o755, "recurseMode": True, "s3": {"key": "made"}}
    outcome, pod = run(served, takes(asked), "init")
    assert (outcome.code, outcome.message) == (0, "")
    assert stat.S_IMODE((pod.path("main", "/in") / "file").stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


def test_mains_log_is_kept_where_the_repository_wants_it(served: Served) -> None:
    template = {"name": "t", "container": {}, "archiveLocation": {"archiveLogs": True, "s3": {"key": "logs/x"}}}
    outcome, _ = run(served, template, "wait", lambda p: p.print("hello"))
    assert outcome.code == 0
    assert saved(served)[0] == {"name": "main-logs", "s3": {"key": "logs/x/main.log"}}
    assert (served.home / "artifacts/default/logs/x/main.log").read_text() == "hello\n"


def test_an_artifact_is_fetched_from_a_url(served: Served, tmp_path: Path) -> None:
    (tmp_path / "page").write_text("content")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(tmp_path))

        def log_message(self, *arguments: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        outcome, pod = run(served, takes({"name": "p", "path": "/p", "http": {"url": f"{url}/page"}}), "init")
        missing, _ = run(served, takes({"name": "p", "path": "/p", "http": {"url": f"{url}/none"}}), "init")
        server.shutdown()
    assert outcome.code == 0
    assert pod.path("main", "/p").read_text() == "content"
    assert missing.message == f"artifact p failed to load: loading file from {url}/none failed with status 404"


def test_a_kind_of_store_that_is_not_supported_is_named(served: Served) -> None:
    asked = {"name": "g", "path": "/g", "git": {"repo": "https://example.org/x.git"}}
    outcome, _ = run(served, takes(asked), "init")
    assert outcome.message == "artifact g failed to load: Unsupported artifact driver for g: git"


names = st.text("abc.-_ äß", min_size=1, max_size=8).filter(lambda n: n.strip(". ") == n)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(names, st.binary(max_size=2000), max_size=4), st.sampled_from([None, {"zip": {}}]))
def test_whatever_is_packed_is_unpacked_again(tmp_path: Path, files: dict[str, bytes], how: dict | None) -> None:
    source, packed, target = tmp_path / "source", tmp_path / "packed", tmp_path / "target"
    for path in (source, packed, target):
        archives.remove(path)
    source.mkdir()
    for name, content in files.items():
        (source / name).write_bytes(content)
    archives.pack(source, packed, how, "source")
    archives.unpack(packed, target, how)
    assert {p.name: p.read_bytes() for p in target.iterdir()} == files


# -- repositories ----------------------------------------------------------------------------------------------------


def configmap(default: str = "") -> dict:
    marks = {repository.DEFAULT_KEY: default} if default else {}
    return {"metadata": {"name": "artifact-repositories", "annotations": marks}, "data": {"one": S3, "bad": "gcs: {}"}}


def test_the_repository_is_the_one_the_namespace_names() -> None:
    found = repository.resolve(lambda name: configmap(default="one"), None, "default")
    assert (found["configMap"], found["key"], found["namespace"]) == ("artifact-repositories", "one", "default")
    location = repository.location(found)
    assert location is not None
    assert location["archiveLogs"] is True
    assert location["s3"]["key"] == "my/{{workflow.name}}"
    assert location["s3"]["bucket"] == "b"


def test_without_a_configmap_or_default_it_is_the_clusters_folder() -> None:
    for found in (None, configmap()):
        status = repository.resolve(lambda name, found=found: found, None, "default")
        assert status["default"] is True
        assert repository.location(status) is None


def test_a_reference_that_leads_nowhere_is_refused() -> None:
    with pytest.raises(TaskError, match=r'failed to find any artifact repository for .* ref "mine#two"'):
        repository.resolve(lambda name: configmap(), {"configMap": "mine", "key": "two"}, "default")
    with pytest.raises(TaskError, match="gcs is not supported"):
        repository.resolve(lambda name: configmap(), {"key": "bad"}, "default")
    odd = configmap() | {"data": {"one": "s3: {bucket: b, roleARN: r}"}}
    with pytest.raises(TaskError, match=r"s3\.roleARN: not supported"):
        repository.resolve(lambda name: odd, {"key": "one"}, "default")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    server = S3Server(tmp_path_factory.mktemp("s3"))
    yield server
    server.stop()


def configure(served: Served, store: S3Server) -> None:
    text = S3.replace("x:1", f"127.0.0.1:{store.port}").replace("bucket: b", "bucket: bucket")
    text = text.replace("archiveLogs: true\n", "")
    meta = {"name": "artifact-repositories", "namespace": "default", "annotations": {repository.DEFAULT_KEY: "one"}}
    served.store.create(CONFIGMAPS, {"metadata": meta, "data": {"one": text}})
    data = {"a": "a2V5", "b": "c2VjcmV0"}
    served.store.create(SECRETS, {"metadata": {"name": "s", "namespace": "default"}, "data": data})


def test_artifacts_go_to_a_configured_s3_store_and_come_back(served: Served, store: S3Server) -> None:
    configure(served, store)
    content = os.urandom(3_000_000)

    def play(pod: Pod) -> None:
        pod.write("/tmp/model.bin", content)
        pod.write("/tmp/folder/x", "1")
        pod.write("/tmp/folder/y/z", "2")

    asked = [{"name": "m", "path": "/tmp/model.bin"}, {"name": "f", "path": "/tmp/folder", "archive": {"none": {}}}]
    outcome, _ = run(served, output(*asked), "wait", play)
    assert (outcome.code, outcome.message) == (0, "")
    kept = saved(served)
    assert kept[0]["s3"] == {"key": "my/wf/m.tgz"}
    assert (store.folder / "bucket/my/wf/m.tgz").exists()
    assert (store.folder / "bucket/my/wf/folder/y/z").read_text() == "2"
    status = repository.choose(served.store.get(CONFIGMAPS, "default", "artifact-repositories"), None, "default")
    template = takes(
        {**kept[0], "path": "/in/m"}, {**kept[1], "path": "/in/f"}, archiveLocation=repository.location(status)
    )
    outcome, pod = run(served, template, "init", fresh)
    assert (outcome.code, outcome.message) == (0, "")
    assert pod.path("main", "/in/m").read_bytes() == content
    assert pod.path("main", "/in/f/y/z").read_text() == "2"


def test_what_the_s3_store_refuses_is_said(served: Served, store: S3Server) -> None:
    configure(served, store)
    status = repository.choose(served.store.get(CONFIGMAPS, "default", "artifact-repositories"), None, "default")
    location = repository.location(status)
    template = takes({"name": "m", "path": "/in/m", "s3": {"key": "no/such"}}, archiveLocation=location)
    outcome, _ = run(served, template, "init")
    assert outcome.message == "artifact m failed to load: failed to get file: The specified key does not exist."
    served.store.modify(SECRETS, "default", "s", lambda s: s["data"].update(b="d3Jvbmc=") and None)
    outcome, _ = run(served, template, "init")
    assert outcome.code == 64
    assert outcome.message.startswith("artifact m failed to load: ")

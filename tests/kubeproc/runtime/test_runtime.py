"""Programs in containers, with each kind of isolation that this machine has."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from kubeproc.runtime import limits
from kubeproc.runtime.launch import Mount, SpawnError
from kubeproc.runtime.runtime import close
from processes import wait_until_gone

from .conftest import ENV, Bench


def read_terminal(fd: int) -> str:
    """All that is left in it; at the end a terminal gives an error (Linux) or nothing."""
    data = b""
    with contextlib.suppress(OSError):
        while more := os.read(fd, 10000):
            data += more
    return data.decode()


def isolated(bench: Bench) -> None:
    if not bench.isolated:
        pytest.skip("has no namespaces")


def test_the_mechanism_in_force_is_named(bench: Bench) -> None:
    named = bench.runtime.mechanisms
    assert ("namespaces" in named["isolation"]) == bench.isolated
    assert set(named) == {"isolation", "processes", "memory"}


def test_exit_code_and_output_arrive(bench: Bench) -> None:
    ended = bench.run("echo out; echo err >&2; exit 3")
    assert (ended.code, ended.signal, ended.out, ended.err) == (3, None, "out\n", "err\n")


def test_a_program_killed_from_outside_says_so(bench: Bench) -> None:
    process = bench.begin(bench.make(["sleep", "100"]))
    process.kill(signal.SIGKILL)
    ended = bench.end(process)
    assert (ended.code, ended.signal) == (137, 9)
    assert not process.running


def test_standard_input_is_a_pipe_when_asked_for_and_empty_otherwise(bench: Bench) -> None:
    process = bench.begin(bench.make(["cat"], stdin=True))
    assert process.stdin is not None
    os.write(process.stdin, b"hello")
    os.close(process.stdin)
    process.stdin = None
    assert bench.end(process).out == "hello"
    assert bench.run(["cat"]).out == ""


def test_a_missing_program_is_refused_and_leaves_nothing_open(bench: Bench) -> None:
    before = len(os.listdir("/dev/fd"))
    for init in (False, True):
        with pytest.raises(SpawnError, match=r'exec: "no-such": executable file not found in \$PATH'):
            bench.run(["no-such"], init=init)
    assert len(os.listdir("/dev/fd")) == before


def test_each_container_has_a_tmp_of_its_own(bench: Bench) -> None:
    first = bench.make("echo one > /tmp/file; find /tmp -maxdepth 1 -type f")
    second = bench.make("find /tmp -maxdepth 1 -type f; touch /tmp/x")
    assert bench.end(bench.begin(first)).out.endswith("/tmp/file\n")
    assert bench.end(bench.begin(second)).out == ""
    assert bench.runtime.host_path(first, "/tmp/file").read_text() == "one\n"
    assert (first.root / "tmp" / "file").exists()


def test_mounts_appear_at_their_targets(bench: Bench) -> None:
    files = bench.home / "volume"
    (files / "sub").mkdir(parents=True, exist_ok=True)
    (files / "name").write_text("value")
    mounts = (
        Mount(files, "/data"),
        Mount(files, "/etc/app/config", read_only=True),
        Mount(files / "name", "/srv/one-file"),
        Mount(files / "sub", "/data/sub"),
        Mount(files, "/tmp/below"),
    )
    script = "cat /data/name /etc/app/config/name /srv/one-file /tmp/below/name && echo -n out > /data/sub/result"
    launch = bench.make(script, mounts=mounts)
    ended = bench.end(bench.begin(launch))
    assert (ended.code, ended.out, ended.err) == (0, "value" * 4, "")
    assert (files / "sub" / "result").read_text() == "out"
    for path in ("/data/sub/result", "/etc/app/config/sub/result", "/tmp/below/../below/sub/result"):
        assert bench.runtime.host_path(launch, path).read_text() == "out"
    (files / "sub" / "result").unlink()


def test_paths_in_environment_and_python_code_mean_the_container_too(bench: Bench) -> None:
    files = bench.home / "volume"
    files.mkdir(exist_ok=True)
    code = "import os; open('/data/from-code', 'w').write(open(os.environ['WHERE']).read())"
    launch = bench.make(
        ["python3", "-c", code], env=ENV | {"WHERE": "/tmp/in"}, mounts=(Mount(files, "/data"),), paths=("/out",)
    )
    (launch.root / "tmp").mkdir(parents=True)
    (launch.root / "tmp" / "in").write_text("text")
    ended = bench.end(bench.begin(launch))
    assert (ended.code, ended.err) == (0, "")
    assert (files / "from-code").read_text() == "text"


def test_outputs_written_outside_of_mounts_land_in_the_root(bench: Bench) -> None:
    launch = bench.make("mkdir -p /out && echo result > /out/file", paths=("/out",))
    assert bench.end(bench.begin(launch)).code == 0
    assert (launch.root / "out" / "file").read_text() == "result\n"


def test_the_working_directory_is_made(bench: Bench) -> None:
    launch = bench.make("pwd; echo x > file", cwd="/work/dir")
    assert bench.end(bench.begin(launch)).out.endswith("/work/dir\n")
    assert bench.runtime.host_path(launch, "file").read_text() == "x\n"


def test_exec_shares_the_containers_view(bench: Bench) -> None:
    process = bench.begin(bench.make("echo there > /tmp/file; echo ready; sleep 100"))
    os.read(process.stdout, 6)
    inside = bench.do(bench.runtime.exec(process, ["sh", "-c", "cat; cat /tmp/file; exit 4"]))
    os.write(inside.stdin, b"in ")
    os.close(inside.stdin)
    inside.stdin = None
    ended = bench.end(inside)
    assert (ended.code, ended.out) == (4, "in there\n")
    with pytest.raises(SpawnError, match="not found"):
        bench.do(bench.runtime.exec(process, ["no-such"]))
    process.kill()
    bench.end(process)
    with pytest.raises(SpawnError, match="not running"):
        bench.do(bench.runtime.exec(process, ["true"]))


def test_exec_with_a_terminal(bench: Bench) -> None:
    process = bench.begin(bench.make("sleep 100"))
    script = "[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo terminal; read line; stty size; echo got $line"
    inside = bench.do(bench.runtime.exec(process, ["sh", "-c", script], tty=True))
    assert inside.stderr is None
    inside.resize(33, 99)
    os.write(inside.stdin, b"words\n")
    assert bench.do(inside.wait()).code == 0
    out = read_terminal(inside.stdout).replace("\r\n", "\n")
    assert out.replace("words\n", "", 1) == "terminal\n33 99\ngot words\n"
    close(inside)
    process.kill()
    bench.end(process)


def test_what_was_executed_inside_ends_with_the_container(bench: Bench) -> None:
    isolated(bench)
    process = bench.begin(bench.make("sleep 100 & setsid sleep 100 & sleep 100"))
    inside = bench.do(bench.runtime.exec(process, ["sleep", "100"]))
    bench.do(asyncio.sleep(0.1))
    everyone = [process.pid, inside.pid, *(child.pid for child in psutil.Process(process.pid).children(recursive=True))]
    assert len(everyone) == 5
    process.kill()
    assert bench.end(inside).signal == signal.SIGKILL
    bench.end(process)
    wait_until_gone(everyone)


def test_pid_1_is_the_program_and_ignores_what_it_does_not_handle(bench: Bench) -> None:
    isolated(bench)
    process = bench.begin(bench.make("trap 'echo term; exit 5' TERM; echo $$; sleep 0.2; sleep 0.2 & wait"))
    assert os.read(process.stdout, 2) == b"1\n"
    process.kill(signal.SIGHUP)
    process.kill(signal.SIGTERM)
    ended = bench.end(process)
    assert (ended.code, ended.out) == (5, "term\n")


def test_below_an_init_a_program_can_be_killed_from_inside(bench: Bench) -> None:
    ended = bench.run("kill -9 $$", init=True)
    assert (ended.code, ended.signal) == (137, 9)
    process = bench.begin(bench.make("sleep 100 & echo $$; wait", init=True))
    assert (os.read(process.stdout, 10) == b"2\n") == bench.isolated
    process.kill(signal.SIGTERM)
    assert bench.end(process).signal == signal.SIGTERM


def test_an_init_reaps_and_passes_the_exit_code_on(bench: Bench) -> None:
    script = "(sleep 0.05 &); (sleep 0.01 &); sleep 0.2; ps -eo stat | grep -c Z; exit 6"
    ended = bench.run(script, init=True)
    assert ended.code == 6
    if bench.isolated:
        assert ended.out == "0\n"


def test_the_host_is_not_there(bench: Bench) -> None:
    isolated(bench)
    other = bench.make("echo secret > /tmp/file")
    bench.end(bench.begin(other))
    script = f"""
        ls {bench.home} {other.root} {Path.cwd() / "tests"} 2>&1 >/dev/null | wc -l
        ls -A /root /home /tmp
        ls /proc | grep -c '^[0-9]'
        grep -c {bench.home} /proc/self/environ
    """
    ended = bench.run(script)
    lines = ended.out.splitlines()
    assert lines[0] == "3"  # none of them exists
    assert int(lines[-2]) <= 4  # sh, ls, grep
    assert lines[-1] == "0"
    assert "file" not in lines


def test_the_host_cannot_be_written_to(bench: Bench) -> None:
    isolated(bench)
    readable = bench.home / "readable"
    readable.mkdir(exist_ok=True)
    script = (
        f"for d in /usr /etc /bin /sys {sys.prefix} /only; do touch $d/x && echo wrote $d; done; touch /x && echo root"
    )
    launch = bench.make(script, mounts=(Mount(readable, "/only", read_only=True),))
    ended = bench.end(bench.begin(launch))
    assert ended.out == "root\n"
    assert ended.err.count("Read-only file system") == 6, ended.err
    assert (launch.root / "x").exists()


def test_there_are_no_privileges_and_none_to_be_had(bench: Bench) -> None:
    isolated(bench)
    script = """
        grep -E 'Cap(Prm|Eff|Bnd|Amb)|NoNewPrivs' /proc/self/status | cut -f2 | sort -u
        unshare -U true || echo no user namespace
        mount -t tmpfs none /tmp || echo no mount
        umount /usr || echo no umount
    """
    ended = bench.run(script)
    lines = ended.out.splitlines()
    assert lines[:2] == ["0000000000000000", "1"]
    assert "no mount" in lines
    assert "no umount" in lines
    if bench.kind == "user":
        assert "no user namespace" in lines


def test_devices_and_shared_memory_work(bench: Bench) -> None:
    code = """
        import multiprocessing.shared_memory as m, os, pty, tempfile
        block = m.SharedMemory(create=True, size=1000); block.close(); block.unlink()
        os.close(os.open(os.devnull, os.O_RDWR)); assert len(os.urandom(4)) == 4
        master, slave = pty.openpty(); assert os.isatty(slave)
        print(os.cpu_count() > 0, tempfile.gettempdir())
    """
    launch = bench.make(["python3", "-c", textwrap.dedent(code)])
    ended = bench.end(bench.begin(launch))
    tmp = "/tmp" if bench.isolated else str(launch.root / "tmp")
    assert (ended.out, ended.err) == (f"True {tmp}\n", "")


def test_a_root_can_be_used_again(bench: Bench) -> None:
    root = bench.home / "kept"
    for expected in ("1\n", "2\n"):
        assert bench.run("echo x >> /tmp/log; grep -c x /tmp/log", root=root).out == expected


def test_a_link_left_in_a_root_leads_nowhere_else(bench: Bench) -> None:
    isolated(bench)
    outside = bench.home / "outside"
    outside.mkdir(exist_ok=True)
    root = bench.home / "linked"
    files = bench.home / "volume"
    files.mkdir(exist_ok=True)
    assert bench.run(f"rm -rf /mnt; ln -s {outside} /mnt; ln -s {outside} /srv/x", root=root).code == 0
    ended = bench.run("ls /mnt/y; ls /srv/x/z", root=root, mounts=(Mount(files, "/mnt/y"), Mount(files, "/srv/x/z")))
    assert ended.code == 0
    assert list(outside.iterdir()) == []


def test_a_mount_that_cannot_be_made_is_an_error(bench: Bench) -> None:
    isolated(bench)
    with pytest.raises(SpawnError, match="mount"):
        bench.run("true", mounts=(Mount(bench.home / "absent", "/data"),))


def test_memory_is_measured_over_the_whole_container(bench: Bench) -> None:
    hog = "python3 -c 'x = bytearray(60 << 20); print(1, flush=True); import time; time.sleep(100)'"
    process = bench.begin(bench.make(f"{hog} & {hog} & wait"))
    seen = b""
    while seen.count(b"1") < 2:
        seen += os.read(process.stdout, 10)
    used = limits.usage(process, limit=1 << 20, portable=bench.kind == "portable")
    assert 120 << 20 < used < 170 << 20
    rough = limits.usage(process, limit=1 << 40)
    assert used <= rough
    process.kill()
    bench.end(process)
    assert limits.usage(process) == 0


def test_a_container_has_a_name_of_its_own_and_the_host_keeps_its(bench: Bench) -> None:
    isolated(bench)
    before = os.uname().nodename
    process = bench.begin(bench.make("echo $(uname -n); read line; uname -n", hostname="pod-1", stdin=True))
    assert bench.end(bench.do(bench.runtime.exec(process, ["uname", "-n"], stdin=False))).out == "pod-1\n"
    assert process.stdin is not None
    os.write(process.stdin, b"\n")
    process.close_stdin()
    assert bench.end(process).out == "pod-1\npod-1\n"
    assert bench.run("uname -n").out.strip() == before == os.uname().nodename


def test_a_terminal_has_a_name_in_the_container(bench: Bench) -> None:
    process = bench.begin(bench.make("tty; sleep 100", tty=True))
    assert os.read(process.stdout, 1000).startswith(b"/dev/console" if bench.isolated else b"/dev/pts/")
    inside = bench.do(bench.runtime.exec(process, ["sh", "-c", "tty; echo word > $(tty)"], tty=True))
    words = read_terminal(inside.stdout).split()
    assert words[0].startswith("/dev/pts/")
    assert words[1:] == ["word"]
    close(inside)
    process.kill()
    bench.do(process.wait())
    close(process)


def test_a_killed_parent_loses_its_containers_and_is_replaced(bench: Bench) -> None:
    process = bench.begin(bench.make("sleep 100 & sleep 100"))
    assert bench.runtime.plain is not None
    os.kill(bench.runtime.plain.pid, signal.SIGKILL)
    end = bench.do(process.wait())
    assert end.lost
    assert end.signal == signal.SIGKILL
    close(process)
    wait_until_gone([process.pid])
    assert bench.run("echo again").out == "again\n"


def test_no_program_outlives_a_kubelet_that_is_killed(bench: Bench, tmp_path: Path) -> None:
    code = f"""
        import asyncio, os
        from pathlib import Path
        from kubeproc.runtime import Launch, Runtime
        async def main():
            portable, isolation = {(bench.kind == "portable", None if bench.kind == "portable" else bench.kind)!r}
            runtime = Runtime(Path({str(tmp_path)!r}), portable=portable, isolation=isolation)
            await runtime.start()
            root = Path({str(tmp_path / "root")!r})
            launch = Launch(["sh", "-c", "sleep 100 & setsid sleep 100 & sleep 100"], {ENV!r}, "/", root)
            process = await runtime.launch(launch)
            await runtime.exec(process, ["sleep", "100"])
            print(runtime.plain.pid, flush=True)
            await process.wait()
        asyncio.run(main())
    """
    kubelet = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    assert kubelet.stdout is not None
    kubelet.stdout.readline()
    deadline = time.monotonic() + 10
    while len(everyone := psutil.Process(kubelet.pid).children(recursive=True)) < (7 if bench.isolated else 6):
        assert time.monotonic() < deadline, everyone
        time.sleep(0.02)
    kubelet.kill()
    kubelet.wait()
    kubelet.stdout.close()
    wait_until_gone([process.pid for process in everyone])


def keras_home(bench: Bench, monkeypatch: pytest.MonkeyPatch, *names: str) -> Path:
    """A home of whoever runs the cluster, with these data sets in Keras's cache."""
    home = bench.home / f"home{bench.count}"
    (home / ".keras" / "datasets").mkdir(parents=True)
    for name in names:
        file = home / ".keras" / "datasets" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("KERAS_HOME", raising=False)
    return home / ".keras" / "datasets"


LOOK = """
import os
for name in ("fashion-mnist/images.gz", "mnist.npz"):
    path = os.path.expanduser("~/.keras/datasets/" + name)
    print(open(path).read() if os.path.exists(path) else "none")
os.makedirs(os.path.expanduser("~/.keras/datasets/other"), exist_ok=True)
open(os.path.expanduser("~/.keras/datasets/other/new"), "w").close()
"""


@pytest.mark.parametrize("home", ["/root", "/home/me"])
def test_what_keras_has_downloaded_is_there_and_more_can_be(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    cached = keras_home(bench, monkeypatch, "fashion-mnist/images.gz", "mnist.npz")
    ended = bench.run(["python3", "-c", LOOK], env=ENV | {"HOME": home})
    assert (ended.out, ended.err) == ("fashion-mnist/images.gz\nmnist.npz\n", "")
    assert sorted(os.listdir(cached)) == ["fashion-mnist", "mnist.npz"]


def test_a_cache_without_anything_in_it_changes_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = keras_home(bench, monkeypatch)
    (cached / "fashion-mnist").mkdir()  # as a failed download leaves it
    ended = bench.run(["python3", "-c", LOOK.replace("other", "fashion-mnist")])
    assert (ended.out, ended.err) == ("none\nnone\n", "")
    assert not list((cached / "fashion-mnist").iterdir())


def test_a_root_with_a_link_to_the_cache_can_be_used(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """As labkit once made it where paths are translated; from inside it leads to itself."""
    cached = keras_home(bench, monkeypatch, "fashion-mnist/images.gz")
    launch = bench.make(["python3", "-c", LOOK], env=ENV | {"HOME": str(cached.parents[1])})
    link = Path(f"{launch.root}{cached}")
    link.parent.mkdir(parents=True)
    link.symlink_to(cached)
    ended = bench.end(bench.begin(launch))
    if bench.isolated:
        assert (ended.out, ended.err) == ("fashion-mnist/images.gz\nnone\n", "")
    else:
        assert ended.out.startswith("fashion-mnist/images.gz\n")


def test_a_home_in_a_volume_is_left_alone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    keras_home(bench, monkeypatch, "fashion-mnist/images.gz")
    volume = bench.home / f"volume-home{bench.count}"
    volume.mkdir()
    ended = bench.run(["python3", "-c", LOOK], env=ENV | {"HOME": "/data"}, mounts=(Mount(volume, "/data"),))
    assert (ended.out, ended.err) == ("none\nnone\n", "")
    assert sorted(os.listdir(volume / ".keras/datasets")) == ["other"]


def test_a_root_can_be_used_in_each_way_by_turns(bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if not bench.isolated:
        pytest.skip("the others are tried with it")
    keras_home(bench, monkeypatch, "fashion-mnist/images.gz")
    launch = bench.make(["python3", "-c", LOOK])
    translated = Bench("portable")
    try:
        for each in (translated, bench, translated):
            ended = each.end(each.begin(launch))
            assert (ended.out, ended.err) == ("fashion-mnist/images.gz\nnone\n", "")
    finally:
        translated.close()

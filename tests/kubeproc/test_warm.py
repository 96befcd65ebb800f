"""Parents that fork: what a child sees, how its end is told, and that nobody outlives anybody."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from kubeproc.warm import python
from kubeproc.warm.parent_client import AsyncParent
from kubeproc.warm.spawn import Exit, Spawn, SpawnError
from kubeproc.warm.sync import SyncParent
from processes import wait_until_gone

LINUX = sys.platform == "linux"
ENV = {"PATH": os.environ["PATH"], "HOME": "/"}


@pytest.fixture(scope="module", params=["plain", "portable"])
def parent(request: pytest.FixtureRequest) -> Iterator[SyncParent]:
    with SyncParent(portable=request.param == "portable") as parent:
        yield parent


def run(
    parent: SyncParent, argv: list[str], stdin: bytes = b"", env: dict[str, str] = ENV, cwd: str = "/"
) -> tuple[Exit, str, str]:
    """Run to the end: (exit, stdout, stderr). A command that begins with python is run in the forked child."""
    pipes = [os.pipe() for _ in range(3)]
    ours, theirs = [pipes[0][1], pipes[1][0], pipes[2][0]], [pipes[0][0], pipes[1][1], pipes[2][1]]
    try:
        child = parent.spawn(Spawn(argv, env, cwd=cwd, python=argv[0] == "python"), theirs)
    except SpawnError:
        for fd in ours:
            os.close(fd)
        raise
    finally:
        for fd in theirs:
            os.close(fd)
    os.write(ours[0], stdin)
    os.close(ours[0])
    with open(ours[1]) as stdout, open(ours[2]) as stderr:
        out, err = stdout.read(), stderr.read()
    end = child.wait(20)
    assert end is not None
    return end, out, err


def test_exit_codes_and_output_arrive(parent: SyncParent) -> None:
    end, out, err = run(parent, ["sh", "-c", "cat; echo oops >&2; exit 3"], b"in")
    assert (end.code, end.signal, out, err) == (3, None, "in", "oops\n")
    assert end.started <= end.finished <= time.time()
    assert 0 < end.maxrss < 2**30


def test_a_signal_is_told_as_such(parent: SyncParent) -> None:
    end, _, _ = run(parent, ["sh", "-c", "kill -SEGV $$"])
    assert (end.code, end.signal) == (128 + signal.SIGSEGV, signal.SIGSEGV)


def test_a_missing_program_is_an_error_in_a_runtimes_words(parent: SyncParent) -> None:
    with pytest.raises(SpawnError, match=r'exec: "no-such-program": executable file not found in \$PATH'):
        run(parent, ["no-such-program"])
    with pytest.raises(SpawnError, match='exec: "/no/such": no such file or directory'):
        run(parent, ["/no/such"])


def test_a_missing_folder_is_an_error(parent: SyncParent) -> None:
    with pytest.raises(SpawnError, match="chdir to cwd"):
        run(parent, ["true"], cwd="/no/such/folder")


def test_children_inherit_three_descriptors_and_no_more(parent: SyncParent) -> None:
    secret = os.open("/etc/passwd", os.O_RDONLY)
    os.set_inheritable(secret, True)
    _, out, _ = run(parent, ["python", "-c", "import os; print(sorted(map(int, os.listdir('/dev/fd'))))"])
    os.close(secret)
    assert out == "[0, 1, 2, 3]\n"  # the last is the listing's own


def test_a_shell_pipeline_ends_by_sigpipe_as_usual(parent: SyncParent) -> None:
    end, out, err = run(parent, ["sh", "-c", "yes | head -1"])
    assert (end.code, out, err) == (0, "y\n", "")


def test_what_a_program_leaves_in_its_process_group_ends_with_it(parent: SyncParent) -> None:
    _, out, _ = run(parent, ["sh", "-c", "sleep 100 >/dev/null 2>&1 & echo $!"])
    wait_until_gone([int(out)])


def test_children_are_killed_by_request(parent: SyncParent) -> None:
    with open(os.devnull, "r+") as null:
        child = parent.spawn(Spawn(["sleep", "100"], ENV), [null.fileno()] * 3)
    assert child.poll() is None
    child.kill(signal.SIGTERM)
    end = child.wait(5)
    assert end is not None
    assert end.signal == signal.SIGTERM
    wait_until_gone([child.pid])


# a forked child as interpreter


def test_a_forked_child_is_set_up_as_a_fresh_interpreter_is(parent: SyncParent, tmp_path: Path) -> None:
    """The oracle is `python` itself."""
    facts = """
        import os, signal, sys
        print(sys.argv, sys.path, __name__, sorted(k for k in globals() if k != 'annotations'))
        print(globals().get('__file__'), getattr(__spec__, 'name', None), getattr(__loader__, "__name__", type(__loader__)))
        print(sys.stdout.line_buffering, sys.stderr.line_buffering, sys.stdin.encoding)
        print(sys.stdout.encoding, sys.stdout.errors, sys.stderr.errors, sys.stdin.name, sys.stdout.name, sys.stdout.mode)
        print(signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGPIPE), signal.getsignal(signal.SIGTERM))
        print(os.environ.get('ANSWER'), os.getcwd(), sys.orig_argv[1:], sys.executable)
        print(sys.modules['__main__'].__dict__ is globals(), os.umask(0o22))
    """
    source = textwrap.dedent(facts)
    (tmp_path / "facts.py").write_text(source)
    env = ENV | {"ANSWER": "42", "LANG": "C.UTF-8"}
    for words in (
        ["-c", source, "a", "-b"],
        ["-m", "facts", "x"],
        ["facts.py"],
        ["-u", "./facts.py", "--y"],
        ["-", "z"],
    ):
        stdin = source.encode() if words[0] == "-" else b""
        fresh = subprocess.run([sys.executable, *words], input=stdin, env=env, cwd=tmp_path, capture_output=True)
        end, out, err = run(parent, ["python", *words], stdin, env, str(tmp_path))
        assert (end.code, err) == (0, "")
        assert out.splitlines() == fresh.stdout.decode().splitlines()


@pytest.mark.parametrize(
    "code",
    [
        "import sys; sys.exit(7)",
        "raise SystemExit",
        "raise SystemExit('words')",
        "raise SystemExit(300)",
        "def f():\n    1 / 0\nf()",
        "syntax error",
        "import nothing_of_that_name",
        "import os; os._exit(9)",
        "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "raise KeyboardInterrupt",
        "import atexit; atexit.register(print, 'bye'); print('hi')",
        "import atexit, threading, time\natexit.register(print, 'after')\n"
        "threading.Thread(target=lambda: (time.sleep(0.1), print('thread'))).start(); print('main')",
        "import threading, time; threading.Thread(target=time.sleep, args=(99,), daemon=True).start(); print('main')",
        "import sys; sys.stdout.write('no newline'); sys.stderr.write('err')",
        "f = open('left-open.txt', 'w'); f.write('text')\nimport os, atexit\n",
        "class A:\n    def __del__(self): print('deleted')\na = A()",
        "import sys; sys.excepthook = lambda *a: print('hook', a[0].__name__); 1 / 0",
        "import multiprocessing as m\nif __name__ == '__main__':\n    m.set_start_method('fork')\n"
        "    with m.Pool(2) as pool: print(pool.map(abs, [-1, -2]))",
    ],
)
def test_a_forked_child_ends_as_a_fresh_interpreter_does(parent: SyncParent, tmp_path: Path, code: str) -> None:
    """The oracle is `python` itself."""
    fresh = subprocess.run([sys.executable, "-c", code], env=ENV, cwd=tmp_path, capture_output=True, text=True)
    left = {path.name: path.read_text() for path in tmp_path.iterdir()}
    end, out, err = run(parent, ["python", "-c", code], env=ENV, cwd=str(tmp_path))
    assert (out, err) == (fresh.stdout, fresh.stderr)
    assert end.code == fresh.returncode if fresh.returncode >= 0 else end.signal == -fresh.returncode
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == left


def test_a_script_that_fails_shows_its_own_lines_only(parent: SyncParent, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def f():\n    return 1 / 0\n\nf()\n")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__main__.py").write_text(
        "import os\nprint(os.path.basename(__file__))\nraise ValueError(1)\n"
    )
    for words in (["broken.py"], ["-m", "broken"], ["-m", "package"], ["package"], ["-m", "absent"], ["absent.py"]):
        fresh = subprocess.run([sys.executable, *words], env=ENV, cwd=tmp_path, capture_output=True, text=True)
        end, out, err = run(parent, ["python", *words], env=ENV, cwd=str(tmp_path))
        assert (end.code, out, err) == (fresh.returncode, fresh.stdout, fresh.stderr)


@pytest.mark.parametrize("portable", [False, True], ids=["plain", "portable"])
def test_a_child_is_on_the_cluster_of_its_own_environment(portable: bool) -> None:
    """The official client reads KUBECONFIG when it is imported: in the parent, which has none."""
    facts = "from kubernetes import config\nfrom kubernetes.config import kube_config\n"
    facts += "print(config.KUBE_CONFIG_DEFAULT_LOCATION, kube_config.KUBE_CONFIG_DEFAULT_LOCATION)"
    with SyncParent(["kubernetes.client"], portable=portable) as warm:
        for env in (ENV, ENV | {"KUBECONFIG": "/mine"}):
            fresh = subprocess.run([sys.executable, "-c", facts], env=env, capture_output=True, text=True)
            assert run(warm, ["python", "-c", facts], env=env)[1] == fresh.stdout


def test_children_draw_different_random_numbers(parent: SyncParent) -> None:
    drawn = {run(parent, ["python", "-c", "import random; print(random.random())"])[1] for _ in range(3)}
    assert len(drawn) == 3


def test_only_command_lines_that_a_fork_can_honour_are_understood() -> None:
    assert python.parse(["python", "-m", "a.b", "-x"]) == python.Command("-m", "a.b", ["-x"], frozenset())
    assert python.parse(["python3", "-u", "run.py", "1"]) == python.Command("file", "run.py", ["1"], frozenset({"-u"}))
    assert python.parse(["python", "-"]) == python.Command("-", "<stdin>", [], frozenset())
    for words in ([], ["-i", "a.py"], ["-m"], ["-O", "a.py"], ["-X", "dev", "a.py"], ["--version"], ["-uB", "a.py"]):
        assert python.parse(["python", *words]) is None


# ends


def test_when_the_starter_ends_so_do_all(tmp_path: Path) -> None:
    for portable in (False, True):
        code = f"""
            import os, sys, time
            from kubeproc.warm.spawn import Spawn
            from kubeproc.warm.sync import SyncParent
            parent = SyncParent(portable={portable})
            null = os.open(os.devnull, os.O_RDWR)
            nested = Spawn(["sh", "-c", "sleep 100 & sleep 100"], dict(os.environ))
            pids = [parent.spawn(nested, [null] * 3).pid for _ in range(3)]
            print(parent.process.pid, *pids, flush=True)
            time.sleep(100)
        """
        starter = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
        assert starter.stdout is not None
        first, *others = map(int, starter.stdout.readline().split())
        everyone = [first, *(p.pid for p in psutil.Process(first).children(recursive=True))]
        assert set(others) < set(everyone)
        starter.kill()
        starter.wait()
        wait_until_gone(everyone)


def test_when_the_parent_is_killed_its_children_are_lost_and_gone() -> None:
    async def scenario() -> None:
        parent = await AsyncParent.start()
        null = os.open(os.devnull, os.O_RDWR)
        children = [await parent.spawn(Spawn(["sleep", "100"], ENV), [null] * 3) for _ in range(3)]
        os.close(null)
        os.kill(parent.pid, signal.SIGKILL)
        ends = await asyncio.gather(*(child.wait() for child in children))
        assert all(end.lost and end.signal == signal.SIGKILL for end in ends)
        wait_until_gone([child.pid for child in children])
        with pytest.raises(SpawnError, match="has ended"):
            await parent.spawn(Spawn(["true"], ENV), [0, 1, 2])
        await parent.stop()

    asyncio.run(asyncio.wait_for(scenario(), 20))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_first_question_after_a_parents_end_already_says_so(number: signal.Signals) -> None:
    with SyncParent() as parent:
        null = os.open(os.devnull, os.O_RDWR)
        child = parent.spawn(Spawn(["sleep", "100"], ENV), [null] * 3)
        os.close(null)
        parent.process.send_signal(number)
        parent.process.wait(10)
        found = child.poll()
        assert found
        assert found.lost
        child.kill()  # a no-op
    wait_until_gone([child.pid])


def test_a_starter_that_is_interrupted_leaves_no_parent_that_still_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "endless.py").write_text("import signal; signal.pause()")
    before = set(psutil.Process().children())
    monkeypatch.setattr(SyncParent, "pump_until", lambda *_: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        SyncParent(["endless"], env={**ENV, "PYTHONPATH": str(tmp_path)})
    assert set(psutil.Process().children()) <= before


def test_many_programs_at_once_are_all_accounted_for() -> None:
    async def scenario() -> None:
        parent = await AsyncParent.start()
        null = os.open(os.devnull, os.O_RDWR)

        async def one(code: int) -> int:
            child = await parent.spawn(Spawn(["sh", "-c", f"exit {code}"], ENV), [null] * 3)
            return (await child.wait()).code

        codes = [number % 100 for number in range(150)]
        assert await asyncio.gather(*map(one, codes)) == codes
        assert not parent.children
        os.close(null)
        await parent.stop()
        assert not psutil.pid_exists(parent.process.pid)

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_a_plain_parent_is_small() -> None:
    if not LINUX:
        pytest.skip("reads /proc")
    with SyncParent() as parent:
        with open(f"/proc/{parent.process.pid}/smaps_rollup") as file:
            pss = next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        assert pss < 15_000

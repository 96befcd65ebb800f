"""Python containers forked from the parent that has imported TensorFlow, and the rights of somebody who is not root."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kubeproc.runtime import limits
from kubeproc.runtime.launch import Launch
from kubeproc.runtime.runtime import Runtime, close
from processes import wait_until_gone
from strangers import stranger

from .conftest import ENV, Bench, finish, works

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks are warm on Linux only")


@pytest.fixture(scope="module")
def warm() -> Iterator[Bench]:
    bench = Bench(next(kind for kind in ("root", "user", "none") if works(kind)))
    bench.do(bench.runtime.prewarm())
    yield bench
    bench.close()


def script(code: str) -> list[str]:
    return ["python", "-c", textwrap.dedent(code)]


def test_tensorflow_is_there_at_once_and_computes(warm: Bench) -> None:
    code = """
        import time
        start = time.perf_counter()
        import tensorflow as tf
        took = time.perf_counter() - start
        a = tf.random.uniform([300, 300])
        difference = tf.reduce_max(tf.abs(tf.linalg.matmul(a, tf.linalg.inv(a)) - tf.eye(300)))
        print(took < 0.1, float(difference) < 0.1)
    """
    process = warm.begin(warm.make(script(code), warm=True))
    assert process.warm
    ended = warm.end(process)
    assert (ended.code, ended.out) == (0, "True True\n"), ended.err


def test_an_idle_warm_parent_holds_no_more_than_its_own_memory(warm: Bench) -> None:
    assert warm.runtime.warm is not None
    with open(f"/proc/{warm.runtime.warm.pid}/smaps_rollup") as file:
        resident = next(int(line.split()[1]) for line in file if line.startswith("Rss:"))
    assert resident < 400_000


def test_a_launch_that_gives_up_does_not_stop_the_start_for_others(tmp_path: Path) -> None:
    async def scenario() -> None:
        runtime = Runtime(tmp_path, portable=False, preload=["json"])
        await runtime.start()
        first = asyncio.create_task(runtime.prewarm())
        second = asyncio.create_task(runtime.prewarm())
        await asyncio.sleep(0)
        first.cancel()
        await second
        assert runtime.warm is not None
        await runtime.stop()
        assert runtime.warm is None

    asyncio.run(scenario())


def test_five_at_once_are_isolated_seeded_apart_and_share_memory(warm: Bench) -> None:
    code = """
        import os, random, sys, numpy, tensorflow as tf
        open("/tmp/mine", "x").close()
        print(float(tf.random.normal([])), numpy.random.rand(), random.random(), flush=True)
        sys.stdin.read()
    """

    async def five() -> tuple[list[str], list[int]]:
        launches = [warm.make(script(code), warm=True, stdin=True) for _ in range(5)]
        processes = await asyncio.gather(*map(warm.runtime.launch, launches))
        lines = [(await asyncio.to_thread(os.read, process.stdout, 1000)).decode() for process in processes]
        used = [limits.usage(process, limit=1) for process in processes]
        for process in processes:
            os.close(process.stdin)
            process.stdin = None
        assert {(await finish(process)).code for process in processes} == {0}
        return lines, used

    lines, used = warm.do(five())
    for column in zip(*(line.split() for line in lines), strict=True):
        assert len(set(column)) == 5, column
    assert max(used) < 200 << 20  # a TensorFlow process by itself takes twice that


def test_forked_containers_have_names_of_their_own(warm: Bench) -> None:
    if not warm.isolated:
        pytest.skip("has no namespaces")
    code = "import os, socket; print(socket.gethostname(), os.uname().nodename)"
    for name in ("worker-0", "worker-1"):
        process = warm.begin(warm.make(script(code), warm=True, hostname=name))
        assert process.warm
        assert warm.end(process).out == f"{name} {name}\n"


def test_keras_fits_a_model_and_ends_well(warm: Bench) -> None:
    code = """
        import keras, numpy as np
        model = keras.Sequential([keras.layers.Dense(4)])
        model.compile("sgd", "mse")
        history = model.fit(np.ones((64, 3)), np.ones((64, 4)), epochs=2, verbose=0)
        print(len(history.history["loss"]))
    """
    ended = warm.run(script(code), warm=True)
    assert (ended.code, ended.out) == (0, "2\n"), ended.err


def test_a_failing_program_fails_as_any_other(warm: Bench) -> None:
    ended = warm.run(["python", "-m", "labkit.absent"], warm=True)
    assert (ended.code, ended.err) == (1, f"{sys.executable}: No module named labkit.absent\n")
    assert warm.run(script("import sys; sys.exit(42)"), warm=True).code == 42
    assert warm.run(script("import os; os.abort()"), warm=True, init=True).signal == signal.SIGABRT
    assert warm.run(script("import os; os.kill(os.getpid(), 9)"), warm=True, init=True).signal == signal.SIGKILL


def test_what_needs_an_interpreter_of_its_own_gets_one(warm: Bench) -> None:
    for launch in (
        warm.make(["python", "-c", "pass"], warm=True, env=ENV | {"OMP_NUM_THREADS": "1"}),
        warm.make(["python", "-c", "pass"]),
        warm.make("true", warm=True),
    ):
        process = warm.begin(launch)
        assert not process.warm
        assert warm.end(process).code == 0


def test_a_killed_warm_parent_takes_its_children_along_and_is_started_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        runtime = Runtime(tmp_path, portable=False, preload=["json"])
        await runtime.start()
        launch = Launch(script("import time; print(1); time.sleep(100)"), ENV, "/", tmp_path / "root", warm=True)
        process = await runtime.launch(launch)
        assert process.warm
        first = runtime.warm
        assert first is not None
        os.kill(first.pid, signal.SIGKILL)
        assert (await process.wait()).lost
        wait_until_gone([process.pid])
        again = await runtime.launch(replace(launch, argv=script("print(2)")))
        assert again.warm
        assert (await finish(again)).out == "2\n"
        assert runtime.warm is not first
        close(process)
        await runtime.stop()

    asyncio.run(scenario())


def test_an_idle_warm_parent_ends_and_comes_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        runtime = Runtime(tmp_path, portable=False, preload=["json"], idle=0.2)
        await runtime.start()
        await runtime.prewarm()
        first = runtime.warm
        assert first is not None
        await asyncio.wait_for(first.closed, 5)
        await runtime.prewarm()
        assert runtime.warm is not first
        await runtime.stop()

    asyncio.run(scenario())


def test_who_is_not_root_has_containers_too() -> None:
    """As nobody, who may not even look into root's home: where Python lies there, it is bound to where he sees it."""
    if not works("user"):
        pytest.skip("this machine has no user namespaces")
    code = f"""
        import asyncio, os
        from pathlib import Path
        from kubeproc.runtime import Launch, Runtime
        async def main():
            runtime = Runtime(Path.home(), portable=False)
            await runtime.start()
            print(runtime.isolation, flush=True)
            root = Path.home() / "root"
            process = await runtime.launch(Launch(["sh", "-c", "id -u; echo $$; cat"], {ENV!r}, "/", root, stdin=True))
            inside = await runtime.exec(process, ["sh", "-c", "ls -d /tmp"], stdin=False)
            print(await inside.wait())
            os.close(process.stdin)
            print(await process.wait())
            for one in (process, inside):
                print(os.read(one.stdout, 100).decode(), os.read(one.stderr, 100).decode(), flush=True)
            await runtime.stop()
        asyncio.run(main())
    """
    with stranger() as somebody:
        home = {"HOME": str(somebody.home("home"))}
        done = somebody.run(sys.executable, "-c", textwrap.dedent(code), env=ENV | home)
    assert done.stderr == ""
    assert done.stdout.count("Exit(code=0, ") == 2
    assert [line for line in done.stdout.split("\n") if line.strip() and "(" not in line] == [
        "user",
        "65534",
        "1",
        "/tmp",
    ]

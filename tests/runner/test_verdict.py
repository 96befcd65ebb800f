"""The report says what a notebook did and which cell did it: odd endings, odd outputs, odd files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nurseries import executed, notebook, run, shown, tagged
from nurseries import forking as forking
from nurseries import nursery as nursery

from labkit.runner import kernels
from labkit.runner.execute import Limits
from labkit.runner.kernels import Nursery
from labkit.runner.notebooks import read

Forking = Nursery | None


@pytest.mark.parametrize("code", ["raise SystemExit", "import sys; sys.exit(0)", "import sys; sys.exit()"])
def test_a_cell_that_ends_the_notebook_before_its_check_has_not_passed(
    tmp_path: Path, forking: Forking, code: str
) -> None:
    result = run(notebook(tmp_path, "X = 1", code, "assert False, 'check'"), tmp_path / "out", forking)
    assert result.outcome == "failed"
    assert result.error
    assert (result.error.cell, result.error.name) == (1, "SystemExit")
    assert "never ran: cell 2 (" in result.error.message
    assert "assert False" in result.error.message
    assert [c.status for c in result.cells] == ["completed", "failed", "not-run"]


def test_an_exit_with_a_complaint_is_an_error(tmp_path: Path, forking: Forking) -> None:
    result = run(notebook(tmp_path, "X = 1", "import sys; sys.exit('no data')"), tmp_path / "out", forking)
    assert result.outcome == "error"
    assert result.error
    assert (result.error.cell, result.error.message) == (1, "no data")


ENDS = [
    "exit()",
    "quit()",
    "exit",
    "get_ipython().kernel.do_shutdown(True)",
    "%%capture\nexit()",
    "get_ipython().ask_exit()",
]


@pytest.mark.parametrize("code", ENDS)
def test_the_cell_that_ends_the_kernel_is_blamed_and_not_the_next(tmp_path: Path, forking: Forking, code: str) -> None:
    """The kernel lives on for a tenth of a second: what comes next may run, or die in the middle."""
    result = run(notebook(tmp_path, "X = 1", code, "print(1)", "assert False"), tmp_path / "out", forking)
    assert result.outcome == "failed"
    assert result.error
    assert (result.error.cell, result.error.name) == (1, "KernelExit")
    assert "never ran: cell 2 (" in result.error.message
    assert [c.status for c in result.cells] == ["completed", "completed", "not-run", "not-run"]


def test_exit_in_the_last_cell_leaves_nothing_out(tmp_path: Path, forking: Forking) -> None:
    assert run(notebook(tmp_path, "X = 1", "exit()"), tmp_path / "out", forking).passed


def test_a_cell_that_its_tag_leaves_out_has_not_run(tmp_path: Path, forking: Forking) -> None:
    check = tagged("assert False, 'check'", "skip-execution")
    result = run(notebook(tmp_path, "X = 1", check, "print(2)", check), tmp_path / "out", forking)
    assert result.outcome == "failed"
    assert result.error
    assert (result.error.cell, result.error.name) == (1, "NotRun")
    assert "skip-execution" in result.error.message
    assert "cell 3" in result.error.message
    assert [c.status for c in result.cells] == ["completed", "not-run", "completed", "not-run"]
    statuses = [c.metadata.papermill.status for c in executed(result, tmp_path / "out").cells if c.cell_type == "code"]
    assert statuses == ["completed", "pending", "completed", "pending"]


def test_cells_without_code_do_not_count(tmp_path: Path, forking: Forking) -> None:
    source = notebook(tmp_path, "X = 1", "", "  \n", "# only words", tagged(" ", "skip-execution"))
    assert run(source, tmp_path / "out", forking).passed


SHOWN = [
    ("%run bad.py", "ZeroDivisionError", "division by zero", "error"),
    ("%run exits.py", "SystemExit", "3", "error"),
    ("get_ipython().run_cell('1 / 0')", "ZeroDivisionError", "division by zero", "error"),
    ("get_ipython().run_cell('assert 1 == 2, 3')", "AssertionError", "3", "failed"),
    ("%%capture\n1 / 0", "ZeroDivisionError", "division by zero", "error"),
    ("%%time\n1 / 0", "ZeroDivisionError", "division by zero", "error"),
]


@pytest.mark.parametrize(("code", "name", "message", "outcome"), SHOWN)
def test_an_exception_that_a_cell_shows_is_that_cells_though_the_kernel_goes_on(
    tmp_path: Path, forking: Forking, code: str, name: str, message: str, outcome: str
) -> None:
    (tmp_path / "bad.py").write_text("1 / 0\n")
    (tmp_path / "exits.py").write_text("raise SystemExit(3)\n")
    result = run(notebook(tmp_path, "X = 1", code, "print('on')", "raise KeyError(1)"), tmp_path / "out", forking)
    assert result.outcome == outcome
    assert result.error
    assert (result.error.cell, result.error.name, result.error.message) == (1, name, message)
    assert [c.status for c in result.cells][1] == "failed"


RAISED = [
    ("%nosuch", "UsageError", "Line magic function `%nosuch` not found"),
    ("%%nosuch\npass", "UsageError", "Cell magic `%%nosuch` not found"),
    ("%%bash\nexit 3", "CalledProcessError", "exit status 3"),
    ("%%script false\nx", "CalledProcessError", "exit status 1"),
    ("input()", "StdinNotImplementedError", "does not support input"),
    ("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nimport time; time.sleep(9)", "KeyboardInterrupt", ""),
    ("await __import__('asyncio').wait_for(__import__('asyncio').sleep(9), 0.01)", "TimeoutError", ""),
    ("1 +", "SyntaxError", "invalid syntax"),
    ("print('\\ud800' + chr(0xd800))\nraise KeyError(chr(0xdfff))", "KeyError", "df"),
]


@pytest.mark.parametrize(("code", "name", "message"), RAISED)
def test_what_a_cell_raises_has_its_name_and_words(
    tmp_path: Path, forking: Forking, code: str, name: str, message: str
) -> None:
    result = run(notebook(tmp_path, "X = 1", code, "print('never')"), tmp_path / "out", forking)
    assert result.outcome == "error"
    assert result.error
    assert (result.error.cell, result.error.name) == (1, name)
    assert message in result.error.message
    assert [c.status for c in result.cells] == ["completed", "failed", "not-run"]


BROKEN = ["1 / 0", "return 5", "return None", "return [1, None]", "return 'text'", "raise SystemExit", "return {}"]


@pytest.mark.parametrize("body", BROKEN)
def test_an_exception_that_cant_be_drawn_is_an_error_of_its_cell(tmp_path: Path, forking: Forking, body: str) -> None:
    broken = f"class Odd(Exception):\n    def _render_traceback_(self):\n        {body}\nraise Odd('odd')"
    result = run(notebook(tmp_path, "X = 1", broken), tmp_path / "out", forking)
    assert result.outcome == ("failed" if "SystemExit" in body else "error")
    assert result.error
    assert result.error.cell == 1
    nbformat.validate(executed(result, tmp_path / "out"))


UNPRINTABLE = [
    "class Odd(Exception):\n    def __str__(self): return 5\nraise Odd",
    "class Odd(Exception):\n    def __str__(self): raise SystemExit\nraise Odd",
    "class Odd(Exception):\n    def __str__(self): 1 / 0\nraise Odd",
    "Odd = type(chr(0xd800), (Exception,), {})\nraise Odd",
    "raise ExceptionGroup('all', [KeyError(1), ValueError(2)])",
    "import sys\nsys.setrecursionlimit(200)\ndef f(): f()\nf()",
]


@pytest.mark.parametrize("code", UNPRINTABLE)
def test_an_exception_without_words_is_an_error_of_its_cell(tmp_path: Path, forking: Forking, code: str) -> None:
    result = run(notebook(tmp_path, "X = 1", code, "print('never')"), tmp_path / "out", forking)
    assert result.outcome == ("failed" if "SystemExit" in code else "error")
    assert result.error
    assert result.error.cell == 1


ODD = [
    "display({'text/plain': 5}, raw=True)",
    "display({'text/plain': None}, raw=True)",
    "display({'text/plain': ['a', 1]}, raw=True)",
    "display({'text/html': {'a': 1}}, raw=True)",
    "display({'nonsense': 1, '': 2}, raw=True)",
    "display({}, raw=True)",
    "display({'application/json': [1, None]}, raw=True)",
    "display({'application/vnd.x+json': 'text'}, raw=True)",
    "display({'image/png': 'no picture'}, raw=True, metadata={'image/png': 3})",
    "display({'text/plain': 'x'}, raw=True, transient={'display_id': 5})",
    "get_ipython().kernel.session.send(get_ipython().kernel.iopub_socket, 'stream', {'name': 'x', 'text': 3},"
    " parent=get_ipython().parent_header)",
    "get_ipython().kernel.session.send(get_ipython().kernel.iopub_socket, 'nonsense', {},"
    " parent=get_ipython().parent_header)",
    "get_ipython().kernel.session.send(get_ipython().kernel.iopub_socket, 'display_data', {},"
    " parent=get_ipython().parent_header)",
    "from comm import create_comm\ncreate_comm(target_name='jupyter.widget', data={'state': {}})",
    "from comm import create_comm\ncreate_comm(target_name='jupyter.widget', data={})\ncreate_comm(target_name='x')",
    "from IPython.display import clear_output\nh = display(1, display_id=True)\nclear_output()\nh.update(2)\nprint(3)",
    "class A:\n    def _repr_html_(self): return 5\n    def _repr_png_(self): return 'x'\nA()",
    "class A:\n    def _repr_mimebundle_(self, **k): return {'text/plain': 7, 'image/png': b'x'}\nA()",
    "print(chr(0xd800))",
    "import sys\nsys.stdout.buffer if hasattr(sys.stdout, 'buffer') else None\nprint('\\x00\\x1b[31m\\x08\\r')",
    "import math\ndisplay({'application/json': {'x': math.nan}}, raw=True)",
]


def test_halves_of_surrogate_pairs_are_shown_and_no_message_is_lost(tmp_path: Path, forking: Forking) -> None:
    cells = ["for _ in range(50): print(chr(0xd800), flush=True)"] * 20
    result = run(notebook(tmp_path, "X = 1", *cells), tmp_path / "out", forking)
    assert (result.outcome, result.error) == ("passed", None)
    assert "".join(shown(result, tmp_path / "out")).count(chr(0xD800)) == 1000


def test_whatever_a_cell_displays_its_notebook_goes_on_and_can_be_read(tmp_path: Path, forking: Forking) -> None:
    cells = [cell for number, code in enumerate(ODD) for cell in (code, f"print('after {number}')")]
    result = run(notebook(tmp_path, "X = 1", *cells), tmp_path / "out", forking)
    assert (result.outcome, result.error) == ("passed", None)
    nbformat.validate(executed(result, tmp_path / "out"))
    said = shown(result, tmp_path / "out")
    assert [n for n in range(len(ODD)) if f"after {n}\n" not in said] == []


FINE = [
    ("import asyncio\nawait asyncio.sleep(0.01)\nprint('awaited')", "awaited"),
    ("async def f():\n    return 'late'\nprint(await f())", "late"),
    ("%autoawait off\n%autoawait asyncio\nprint('still')", "still"),
    ("print('x' * 20_000_000)", "xxx"),
    ("for i in range(20_000): print(i)", "19999"),
    ("%%capture out\nprint('caught')", ""),
    ("%%script --no-raise-error false\nx", ""),
    ("!exit 3\nprint('shell', _exit_code)", "shell 3"),
    ("from IPython.display import clear_output\nprint('a')\nclear_output(wait=True)\nprint('b')", "b"),
    ("import threading, time\nthreading.Timer(0.3, print, ['after the end']).start()\nprint('now')", "now"),
    ("import threading\nt = threading.Thread(target=lambda: 1 / 0)\nt.start()\nt.join()\nprint('alive')", "alive"),
    ("import os\npid = os.fork()\nif not pid: os._exit(0)\nprint('parent', os.waitpid(pid, 0)[1])", "parent 0"),
    ("import atexit\natexit.register(lambda: 1 / 0)\nprint('bye')", "bye"),
    ("get_ipython = print\nprint('shadowed')", "shadowed"),
    ("import sys\nsys.stdout.close()\nsys.stderr.write('err')", "err"),
]


def test_what_is_no_failure_passes(tmp_path: Path, forking: Forking) -> None:
    result = run(notebook(tmp_path, "X = 1", *[code for code, _ in FINE]), tmp_path / "out", forking)
    assert (result.outcome, result.error) == ("passed", None)
    said = shown(result, tmp_path / "out")
    assert [code for code, text in FINE if text not in said] == []


def test_raises_exception_is_honoured_as_nbclient_does(tmp_path: Path, nursery: Nursery | None) -> None:
    cells = [
        tagged("1 / 0", "raises-exception"),
        tagged("%nosuch", "raises-exception"),
        tagged("2", "raises-exception"),
    ]
    result = run(notebook(tmp_path, "X = 1", *cells, "print('on')"), tmp_path / "out", nursery)
    assert (result.outcome, result.error) == ("passed", None)
    assert [c.status for c in result.cells] == ["completed"] * 5
    assert "on" in shown(result, tmp_path / "out")
    assert [note.partition(" (")[0] for note in result.notes if "which its tag allows" in note] == ["cell 1", "cell 2"]
    assert any("ZeroDivisionError" in note for note in result.notes)


def test_what_fails_beside_an_allowed_exception_is_blamed(tmp_path: Path, forking: Forking) -> None:
    cells = [tagged("1 / 0", "raises-exception"), "assert False, 'check'"]
    result = run(notebook(tmp_path, "X = 1", *cells), tmp_path / "out", forking)
    assert result.outcome == "failed"
    assert result.error
    assert result.error.cell == 2


@pytest.mark.parametrize("metadata", [{"allow_errors": True}, {"execution": {"allow_errors": True}}])
def test_a_notebooks_metadata_allow_no_exception_since_nbclient_reads_none(
    tmp_path: Path, forking: Forking, metadata: dict[str, Any]
) -> None:
    result = run(notebook(tmp_path, "X = 1", "1 / 0", **metadata), tmp_path / "out", forking)
    assert result.outcome == "error"


def test_a_tag_allows_no_death_of_the_kernel(tmp_path: Path, forking: Forking) -> None:
    cell = tagged("import os; os._exit(0)", "raises-exception")
    result = run(notebook(tmp_path, "X = 1", cell, "print(2)"), tmp_path / "out", forking)
    assert result.outcome == "error"
    assert result.error
    assert result.error.cell == 1


@pytest.mark.parametrize("name", ["{}", "{x}", "a{0}b", "{", "s3:", "a b#%25?"])
def test_a_file_may_have_any_name(tmp_path: Path, forking: Forking, name: str) -> None:
    path = notebook(tmp_path, "X = 1", "print(X)").path
    result = run(read(path.rename(tmp_path / f"{name}.ipynb")), tmp_path / "out", forking, X=7)
    assert (result.outcome, result.error) == ("passed", None)
    assert (tmp_path / "out" / "notebooks" / f"{name}.ipynb").exists()
    assert "7" in shown(result, tmp_path / "out")


@pytest.mark.parametrize("limits", [Limits(0.7, 60), Limits(60, 0.01), Limits(60.5, 2.5)])
def test_limits_may_be_parts_of_a_second(tmp_path: Path, forking: Forking, limits: Limits) -> None:
    result = run(notebook(tmp_path, "X = 1", "import time; time.sleep(50)"), tmp_path / "out", forking, limits)
    assert result.outcome == "timeout"


def test_a_fraction_does_not_end_what_is_quick(tmp_path: Path, forking: Forking) -> None:
    assert run(notebook(tmp_path, "X = 1", "print(1)"), tmp_path / "out", forking, Limits(19.5, 59.5)).passed


def test_the_blame_counts_cells_as_the_source_does(tmp_path: Path, forking: Forking) -> None:
    """A source that papermill has already executed: its cell of parameters is replaced, its markers are left out."""
    cells = [
        tagged("marker", "papermill-error-cell-tag"),
        tagged("X = 2", "injected-parameters"),
        "assert X == 9",
        "1 / 0",
    ]
    source = notebook(tmp_path, "X = 1", *cells)
    book = nbformat.read(source.path, 4)
    book.cells[1].cell_type = "markdown"
    del book.cells[1]["outputs"], book.cells[1]["execution_count"]
    nbformat.write(book, source.path)
    for parameters in ({"X": 9}, {}):
        result = run(read(source.path), tmp_path / "out", forking, **parameters)
        assert result.error
        assert result.error.cell == (4 if parameters else 3)
        assert result.error.id == book.cells[result.error.cell].id
        assert result.error.source == book.cells[result.error.cell].source
        assert [c.index for c in result.cells] == [0, 2, 3, 4]


@pytest.mark.parametrize("kind", ["none", "twice", "old"])
def test_an_id_in_the_blame_is_one_in_the_file(tmp_path: Path, forking: Forking, kind: str) -> None:
    source = notebook(tmp_path, "X = 1", "print(1)", "1 / 0")
    raw = json.loads(source.path.read_text())
    for cell in raw["cells"]:
        del cell["id"]
        if kind == "twice":
            cell["id"] = "same"
    if kind == "old":
        raw["nbformat_minor"] = 2
    source.path.write_text(json.dumps(raw))
    result = run(read(source.path), tmp_path / "out", forking)
    assert result.outcome == "error"
    assert result.error
    assert (result.error.cell, result.error.id) == (2, "same" if kind == "twice" else "")
    assert result.error.source == "1 / 0"


def test_how_a_notebook_ended_stands_in_it_at_the_top_and_at_the_cell(tmp_path: Path, forking: Forking) -> None:
    source = notebook(tmp_path, "X = 1", "raise ValueError('<b>&')", "print(2)")
    result = run(source, tmp_path / "out", forking, X=3)
    cells = executed(result, tmp_path / "out").cells
    assert "ended as `error`" in cells[0].source
    assert "ValueError: &lt;b&gt;&amp;" in cells[0].source
    place = next(i for i, c in enumerate(cells) if 'id="papermill-error-cell"' in c.source)
    assert cells[place + 1].source == "raise ValueError('<b>&')"


@pytest.mark.parametrize(
    ("code", "words"),
    [("os._exit(7)", "exit code 7"), ("os.kill(os.getpid(), 15)", "SIGTERM"), ("os.abort()", "SIGABRT"),
     ("os.kill(os.getpid(), 9)", "SIGKILL")],
)  # fmt: skip
def test_how_a_kernel_ended_is_said(tmp_path: Path, nursery: Nursery | None, code: str, words: str) -> None:
    result = run(notebook(tmp_path, "X = 1", f"import os, time\n{code}\ntime.sleep(9)"), tmp_path / "out", nursery)
    assert result.error
    assert result.error.cell == 1
    assert words in result.error.message


PATCHES = [
    "get_ipython().set_custom_exc((Exception,), lambda *a, **k: print('swallowed'))",
    "get_ipython().showtraceback = lambda *a, **k: None",
    "import sys\nsys.excepthook = lambda *a: None",
]


@pytest.mark.parametrize("patch", PATCHES)
def test_a_check_that_says_no_is_seen_though_nothing_is_shown(tmp_path: Path, forking: Forking, patch: str) -> None:
    result = run(notebook(tmp_path, "X = 1", patch, "assert False, 'check'", "print(3)"), tmp_path / "out", forking)
    assert result.outcome == "failed"
    assert result.error
    assert result.error.cell == 2


def test_a_report_folder_that_a_notebook_deletes_is_made_again(tmp_path: Path, forking: Forking) -> None:
    code = f"import shutil\nshutil.rmtree({str(tmp_path / 'out')!r})"
    result = run(notebook(tmp_path, "X = 1", code, "print('on')"), tmp_path / "out", forking)
    assert (result.outcome, result.error) == ("passed", None)
    assert "on" in shown(result, tmp_path / "out")


def test_what_cant_be_written_is_no_infra(tmp_path: Path, forking: Forking) -> None:
    (tmp_path / "out").write_text("a file")
    result = run(notebook(tmp_path, "X = 1"), tmp_path / "out", forking)
    assert (result.outcome, result.path) == ("error", "")


def test_a_kernel_that_does_not_start_is_infra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And why is in the run's journal, not on the terminal."""
    monkeypatch.setattr(kernels, "LAUNCH", "raise ImportError('no kernel here')")
    result = run(notebook(tmp_path, "X = 1"), tmp_path / "out", None)
    assert result.outcome == "infra"
    assert result.error
    assert result.error.cell == -1
    assert "kernels.log may say more" in result.error.message
    assert "no kernel here" in (tmp_path / "out" / "kernels.log").read_text()

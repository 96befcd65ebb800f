"""The same notebook by nbclient alone, with JupyterLab's kernel: cells fail by the same name and show the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest
from nurseries import forking as forking
from nurseries import notebook, run

from labkit.runner.kernels import Nursery

pytestmark = pytest.mark.slow

CELLS = [
    ["print(X)", "X + 1", "1 / 0", "print('never')"],
    ["import sys\nprint('out')\nprint('err', file=sys.stderr)", "await __import__('asyncio').sleep(0)\n'done'"],
    ["%nosuch"],
    ["%%bash\necho from bash\nexit 3"],
    ["%%capture held\nprint('held')", "print(held.stdout)"],
    ["from IPython.display import clear_output\nprint(1)\nclear_output()\nprint(2)"],
    ["h = display(1, display_id=True)", "h.update(2)"],
    ["input('?')"],
    ["raise SystemExit"],
    ["import sys\nsys.exit(4)"],
    ["!echo shell", "%time 1", "%who_ls int"],
    ["import matplotlib.pyplot as plt\nplt.plot([1, 2]);", "import yaml, random\nprint(__name__, random.__file__)"],
]  # fmt: skip


@pytest.mark.parametrize("cells", CELLS, ids=[cells[0].split("\n")[0] for cells in CELLS])
def test_a_run_does_what_nbclient_does(tmp_path: Path, forking: Nursery | None, cells: list[str]) -> None:
    source = notebook(tmp_path, "X = 1", *cells)
    result = run(source, tmp_path / "out", forking)
    mine = [c for c in nbformat.read(tmp_path / "out" / result.path, 4).cells if c.cell_type == "code"]
    theirs = nbformat.read(source.path, 4)
    name = ""
    try:
        options: dict[str, Any] = {"kernel_name": "python3", "resources": {"metadata": {"path": str(tmp_path)}}}
        nbclient.NotebookClient(theirs, **options).execute()
    except nbclient.exceptions.CellExecutionError as error:
        name = error.ename
    assert (result.error.name if result.error else "") == name
    assert result.passed == (not name)
    assert [_seen(cell) for cell in mine] == [_seen(cell) for cell in theirs.cells]


def _seen(cell: Any) -> list[tuple[str, ...]]:
    """What a reader sees, streams joined, without times and addresses."""
    found: list[tuple[str, ...]] = []
    for output in cell.outputs:
        if output.output_type == "stream" and found and found[-1][:2] == ("stream", output.name):
            found[-1] = ("stream", output.name, found[-1][2] + output.text)
        elif output.output_type == "stream":
            found.append(("stream", output.name, output.text))
        elif output.output_type == "error":
            found.append(("error", output.ename, output.evalue))
        else:
            found.append((output.output_type, *sorted(output.data)))
    return [f for f in found if not (f[0] == "stream" and "CPU times" in f[2])]

"""JupyterLab as a student has it: `labkit lab`, a notebook opened in Chromium, all cells run.

Screenshots go to $LABKIT_SCREENSHOTS when it is set.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest

from books import FOLDER
from labkit import cluster

sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

CHROMIUM = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)


@dataclass
class Lab:
    """A running `labkit lab`: its address with the token, and the work folder."""

    url: str
    folder: Path

    def open(self, page: Any, notebook: str) -> None:
        page.goto(self.url.replace("00_setup.ipynb?", f"{notebook}?reset&"))
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=60_000)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """`labkit lab --no-browser` on a free port, with a home of its own. At the end nothing of it may be left."""
    home, work = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("work")
    environment = {k: v for k, v in os.environ.items() if k not in ("LABKIT_CLUSTER", "KUBECONFIG", "LABKIT_RUN")}
    environment |= {"LABKIT_HOME": str(home), "JUPYTER_CONFIG_DIR": str(home / "jupyter")}
    process = subprocess.Popen(
        [sys.executable, "-m", "labkit.cli", "lab", "--no-browser", "--port", "0", "--dir", str(work)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield Lab(_address(process), work)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)
        os.environ["LABKIT_HOME"] = str(home)
        cluster.down(purge=True)
        del os.environ["LABKIT_HOME"]
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(home) in " ".join(p.info["cmdline"] or [])]


def _address(process: subprocess.Popen[bytes]) -> str:
    said = b""
    assert process.stdout
    while select.select([process.stdout], [], [], 60)[0]:
        piece = os.read(process.stdout.fileno(), 65536)
        said += piece
        if found := re.search(rb"http://127\.0\.0\.1:\d+/lab/tree/notebooks/00_setup\.ipynb\?token=\w+", said):
            return found[0].decode()
        if not piece:
            break
    raise AssertionError(said.decode())


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    if not CHROMIUM:
        pytest.skip("no Chromium here")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield browser.new_page(viewport={"width": 1400, "height": 1000})
        browser.close()


def run_all(page: Any, seconds: float) -> None:
    """Run > Run All Cells, and wait until the kernel has done it."""
    page.get_by_role("menuitem", name="Run").click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.locator(".jp-Notebook-ExecutionIndicator[data-status=busy]").wait_for(timeout=20_000)
    page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for(timeout=1000 * seconds)


def saved(page: Any, lab: Lab, notebook: str) -> Any:
    """The notebook as JupyterLab saves it."""
    with page.expect_response(lambda r: r.request.method == "PUT" and notebook in r.url):
        page.locator("[data-jp-item-name=save]").click()
    return nbformat.read(lab.folder / "notebooks" / notebook, as_version=4)


def answered(lab: Lab, notebook: str) -> None:
    """The student's notebook, as it is when every exercise has its right answer."""
    shutil.copyfile(FOLDER / notebook, lab.folder / "notebooks" / notebook)


def test_a_student_sees_the_first_notebook_and_is_told_what_is_not_answered_yet(lab: Lab, page: Any) -> None:
    page.goto(lab.url)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=60_000)
    run_all(page, 120)
    told = page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.stderr']")
    picture(page, "00-unanswered", told.last)
    told.last.scroll_into_view_if_needed()  # JupyterLab does not render what is far from where one looks
    sync_api.expect(told.last).to_contain_text("Not yet: the manifest is empty")
    last = page.locator(".jp-CodeCell", has_text="whereami").last  # it tidies up, whatever was answered
    last.locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    last.get_by_text(re.compile(r"^\[\d+\]:$")).wait_for(timeout=20_000)
    outputs = outputs_of(saved(page, lab, "00_setup.ipynb"))
    (error,) = [o for o in outputs if o.output_type == "error"]
    assert error.evalue.startswith("the manifest is empty")
    assert sum("image/png" in o.get("data", {}) for o in outputs) == 1


def test_a_student_with_the_right_answers_passes_the_first_notebook(lab: Lab, page: Any) -> None:
    answered(lab, "00_setup.ipynb")
    lab.open(page, "00_setup.ipynb")
    assert not page.get_by_text("notified about official Jupyter news").count(), "nothing asks for anything"
    run_all(page, 120)
    picture(page, "00")
    outputs = outputs_of(saved(page, lab, "00_setup.ipynb"))
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    assert sum("image/png" in o.get("data", {}) for o in outputs) == 1
    said = "".join(o.get("text", "") for o in outputs)
    assert said.count("Passed: ") == 2


# How often a figure is redrawn depends on the machine: the page itself keeps each picture that the image's cell has shown.
KEEP_PICTURES = """image => {
  const cell = image.closest('.jp-Cell'), pictures = cell.pictures = new Set()
  const keep = () => cell.querySelectorAll('.jp-RenderedImage img').forEach(each => pictures.add(each.src))
  new MutationObserver(keep).observe(cell, {subtree: true, childList: true, attributes: true})
  keep()
  return cell
}"""
SIZES = """cell => Promise.all([...cell.pictures].map(async source => {
  const image = new Image()
  image.src = source
  await image.decode()
  return `${image.naturalWidth} x ${image.naturalHeight}`
}))"""


def test_the_live_view_is_one_figure_redrawn_in_place(lab: Lab, page: Any) -> None:
    answered(lab, "13_end_to_end.ipynb")
    lab.open(page, "13_end_to_end.ipynb")
    assert page.locator(".jp-RenderedMermaid").count() == 1, "the system's diagram is drawn"
    page.get_by_role("menuitem", name="Run").click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    images = page.locator(".jp-RenderedImage img")
    images.first.wait_for(timeout=60_000)
    cell = images.first.evaluate_handle(KEEP_PICTURES)
    picture(page, "13-live", images.first)
    page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for(timeout=200_000)
    sizes = cell.evaluate(SIZES)
    assert len(sizes) > 1, "it was redrawn"
    assert len(set(sizes)) == 1, "what stands below does not move while one looks"
    assert cell.evaluate("cell => cell.querySelectorAll('.jp-RenderedImage img').length") == 1
    outputs = outputs_of(saved(page, lab, "13_end_to_end.ipynb"))
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    assert "".join(o.get("text", "") for o in outputs).count("Passed: ") == 2


TRY = """
from labkit import client, cluster, show
cluster.use()
show.yaml(MANIFEST)
show.follow(client.apply(MANIFEST)[0]["metadata"]["name"])
"""
STUCK = """apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {generateName: stuck-}
spec:
  entrypoint: main
  templates:
  - name: main
    container: {image: "busybocks:1", command: ["true"]}
"""


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_a_manifest_has_colours_and_an_interrupted_watch_is_one_sentence(lab: Lab, page: Any, theme: str) -> None:
    code = nbformat.v4.new_code_cell(f"MANIFEST = '''{STUCK}'''\n{TRY}")
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)"}}
    name = f"try-{theme.lower()}.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[code], metadata=kernel), lab.folder / "notebooks" / name)
    lab.open(page, name)
    if not page.locator(f"body[data-jp-theme-name='JupyterLab {theme}']").count():
        page.get_by_role("menuitem", name="Settings").click()
        page.get_by_text("Theme", exact=True).first.click()
        page.get_by_role("menuitem", name=f"JupyterLab {theme}", exact=True).click()
    page.locator(f"body[data-jp-theme-name='JupyterLab {theme}']").wait_for(state="attached")
    page.get_by_role("menuitem", name="Run").click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    code_block = page.locator(".jp-RenderedMarkdown pre code").first
    code_block.locator("span", has_text="kind").first.wait_for(timeout=60_000)
    colours = "e => [e, ...e.querySelectorAll('span')].map(s => getComputedStyle(s).color)"
    assert len(set(code_block.evaluate(colours))) > 2
    page.locator(".jp-RenderedImage img").first.wait_for(timeout=60_000)
    picture(page, f"try-{theme.lower()}", page.locator(".jp-RenderedImage img").first)
    page.get_by_role("menuitem", name="Kernel").click()
    page.get_by_role("menuitem", name=re.compile("Interrupt Kernel")).click()
    told = page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.stderr']")
    told.first.wait_for(timeout=30_000)
    assert told.count() == 1
    assert re.fullmatch(r"stopped watching; the workflow goes on: .* ends it", told.inner_text().strip())


def test_a_terminal_opens_in_the_work_folder_with_the_environment_and_the_cluster(lab: Lab, page: Any) -> None:
    """JupyterLab was not started by a terminal here, so by itself it would start a login shell."""
    lab.open(page, "00_setup.ipynb")
    page.keyboard.press("Control+Shift+L")
    page.locator(".jp-LauncherCard:visible", has_text="Terminal").click()
    page.locator(".jp-Terminal .xterm-screen").last.wait_for(timeout=30_000)
    said = lab.folder / "said"
    words = "pwd; which labkit kubectl python; kubectl get nodes -o name"
    for _ in range(20):  # what is typed before the shell is connected is lost
        page.locator(".jp-Terminal").last.click()
        page.keyboard.type(f"({words}) > {said}.part; mv {said}.part {said}\n")
        page.wait_for_timeout(2000)
        if said.exists():
            break
    folder, labkit, kubectl, python, node = said.read_text().split()
    assert Path(folder).is_relative_to(lab.folder)
    assert {Path(program).parent for program in (labkit, kubectl, python)} == {Path(sys.executable).parent}
    assert node == "node/labkit"
    picture(page, "terminal")


def outputs_of(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def picture(page: Any, name: str, of: Any = None) -> None:
    """A screenshot, of that part of the notebook."""
    if folder := os.environ.get("LABKIT_SCREENSHOTS"):
        if of is not None:
            of.scroll_into_view_if_needed()
        page.screenshot(path=f"{folder}/{name}.png")

"""The cells of a notebook, one after another, in its kernel: nbclient through papermill.

What differs from theirs: whatever a cell publishes, the run goes on (`messages`); a cell that shows an exception has failed,
also where the kernel calls it done (`%run`, `%%capture`); and a cell that ends the kernel by `exit()` is the last one.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from nbclient.exceptions import CellControlSignal
from papermill.clientwrap import PapermillNotebookClient

from labkit.runner import messages
from labkit.runner.book import Book

ALLOWS = "raises-exception"
SILENCE = 1.0  # seconds after which an idle kernel's answer, sent before it was idle, will not come
SILENT = {"ename": "NoAnswer", "evalue": "the kernel has not answered this cell"}
# Asked of the kernel after each cell: exit(), quit() and a restart from within set it, and the kernel ends a moment later.
LEAVING = {"labkit": "get_ipython().exit_now"}


class Client(PapermillNotebookClient):
    """Executes a book. `ready` says whether the kernel has ever answered, `left` which cell has ended it by `exit()`."""

    nb_man: Book

    def __init__(self, book: Book, limit: float, **options: Any) -> None:
        # nbclient's own limits are whole seconds; a cell's outputs may come as long as the cell may run.
        super().__init__(
            book, timeout_func=lambda cell: limit, iopub_timeout=int(limit) + 1, log=papermill_log(), **options
        )
        self.ready = False
        self.left: Any = None
        self.reply: dict[str, Any] = {}

    def execute(self, **kwargs: Any) -> Any:
        self.reset_execution_trackers()
        with self.setup_kernel(**kwargs):
            assert self.kc is not None
            self.ready = True
            if answer := self.wait_for_reply(self.kc.kernel_info()):
                self.nb.metadata["language_info"] = answer["content"]["language_info"]
            self.kc.execute = partial(self.kc.execute, user_expressions=LEAVING)  # type: ignore[method-assign]
            try:
                self.papermill_execute_cells()
            finally:
                self.set_widgets_metadata()
        return self.nb

    def papermill_execute_cells(self) -> None:
        for index, cell in enumerate(self.nb.cells):
            if cell.cell_type == "code" and self.skip_cells_with_tag not in cell.metadata.tags:
                with self.nb_man.running(cell, index):
                    self.execute_cell(cell, index)
                    self._judge(cell)
                if self.left is not None:
                    return

    def _judge(self, cell: Any) -> None:
        """Look at what a cell has shown that the kernel calls done, and whether it is the last."""
        answer, self.reply = self.reply, {}
        errors = [o for o in cell.outputs if o.output_type == "error"]
        errors += [answer] if answer.get("status") == "error" else []
        if errors:
            name, value = errors[0]["ename"], errors[0]["evalue"]
            if ALLOWS in cell.metadata.tags:
                self.nb_man.allowed.append(self.nb_man.blame(cell, name, value))
            else:
                self.nb_man.fail(cell, name, value)
        leaving = answer.get("user_expressions", {}).get("labkit", {})
        if leaving.get("data", {}).get("text/plain") == "True":
            self.left = cell

    async def _check_raise_for_error(self, cell: Any, cell_index: int, exec_reply: Any) -> None:
        content = exec_reply["content"] if exec_reply else {}
        if content.get("status") != "ok":
            # An aborted cell has not run.
            content |= messages.error(content) | {"status": "error"}
        self.reply = content
        await super()._check_raise_for_error(cell, cell_index, exec_reply)

    async def _async_poll_for_reply(
        self, msg_id: str, cell: Any, timeout: Any, outputs: asyncio.Future[Any], alive: asyncio.Future[Any]
    ) -> Any:
        """As nbclient, but a kernel that is idle and has not answered will not do so: what a cell raised may have broken it
        off in its answer."""
        reply = asyncio.ensure_future(super()._async_poll_for_reply(msg_id, cell, timeout, outputs, alive))
        try:
            await asyncio.wait({reply, outputs}, return_when=asyncio.FIRST_COMPLETED)
            for _ in range(2):  # the second wait is for a machine that stood still during the first
                await asyncio.wait({reply}, timeout=SILENCE)
            if reply.done():
                return reply.result()
            alive.cancel()
            shown = next((o for o in cell.outputs if o.output_type == "error"), SILENT)
            return {"content": {"status": "error"} | messages.error(dict(shown))}
        finally:
            reply.cancel()

    def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
        kind = msg["msg_type"]
        if kind in messages.OUTPUTS:
            msg["content"] = messages.shaped(kind, msg["content"])
        try:
            return super().process_message(msg, cell, cell_index)
        except CellControlSignal:
            raise
        except Exception as error:  # a malformed message of a widget, a display that is gone
            self.log.warning("%s of cell %s is left out: %r", kind, cell_index, error)
            return None


def papermill_log() -> Any:
    from papermill.log import logger

    return logger

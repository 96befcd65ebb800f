"""What the figures of a report draw."""

from __future__ import annotations

from labkit.course.pipeline import figures


def progress(step: int, loss: float) -> dict:
    return {"event": "progress", "step": step, "loss": loss}


def test_a_resumed_training_goes_back_to_its_checkpoint_which_is_marked():
    killed = [progress(380, 0.5), progress(400, 0.4), progress(420, 0.3), {"event": "resumed", "step": 400}]
    histories = {"mlp": [progress(20, 1.0), progress(40, 0.9)], "cnn": [*killed, progress(420, 0.35)]}
    (axes,) = figures.learning(histories).axes
    drawn = {line.get_label(): list(zip(line.get_xdata(), line.get_ydata(), strict=True)) for line in axes.lines}
    assert drawn["cnn"] == [(380, 0.5), (400, 0.4), (420, 0.3), (400, 0.4), (420, 0.35)]
    assert drawn["resumed here"] == [(400, 0.4)]


def test_a_training_that_was_not_disturbed_has_no_mark():
    (axes,) = figures.learning({"mlp": [progress(20, 1.0)]}).axes
    assert [line.get_label() for line in axes.lines] == ["mlp"]


def test_a_checkpoint_without_a_known_loss_is_not_drawn():
    (axes,) = figures.learning({"mlp": [{"event": "resumed", "step": 400}, progress(420, 0.35)]}).axes
    assert [list(line.get_xdata()) for line in axes.lines] == [[420]]

# says: spec.templates.select.container.command
fixed = miniature.replace("depends: train\n", "depends: train.Succeeded || train.Failed\n").replace(
    "chosen from", "picked from"
)

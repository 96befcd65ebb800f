# says: more than `depends` was changed: spec.templates.train.container.command
fixed = miniature.replace("depends: train\n", "depends: train.Succeeded || train.Failed\n").replace("grep -w", "cat #")

# says: more than `depends` was changed: spec.templates.main.dag.tasks.train.continueOn
fixed = miniature.replace("        withItems:", "        continueOn: {failed: true}\n        withItems:")

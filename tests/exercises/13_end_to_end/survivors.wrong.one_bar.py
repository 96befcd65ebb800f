# says: Argo can't evaluate your `depends`
fixed = miniature.replace("depends: train\n", "depends: train.Succeeded | train.Failed\n")

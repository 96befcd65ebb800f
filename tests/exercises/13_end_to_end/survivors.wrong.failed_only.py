# says: when none fails, select is Omitted
fixed = miniature.replace("depends: train\n", "depends: train.Failed\n")

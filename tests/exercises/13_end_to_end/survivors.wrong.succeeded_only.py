# says: when one training run fails, select is Omitted
fixed = miniature.replace("depends: train\n", "depends: train.Succeeded\n")

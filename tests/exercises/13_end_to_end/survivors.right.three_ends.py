fixed = miniature.replace("depends: train\n", "depends: train.Succeeded || train.Failed || train.Errored\n")

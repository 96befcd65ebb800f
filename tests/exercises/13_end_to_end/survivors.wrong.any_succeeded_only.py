# says: when all fail, select is Omitted
fixed = miniature.replace("depends: train\n", "depends: train.AnySucceeded\n")

fixed = miniature.replace("depends: train\n", "depends: train.AnySucceeded || train.AllFailed\n")

# says: a result begins with a capital letter and stands after its task: TASK.Failed
fixed = miniature.replace("depends: train\n", "depends: train.Succeeded || train.failed\n")

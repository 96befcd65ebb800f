fixed = miniature.replace("depends: train\n", 'depends: "!train.Skipped"\n')

fixed = miniature.replace("depends: train\n", 'depends: "(train.Failed || train.Succeeded)"\n')

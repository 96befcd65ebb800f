# says: in `depends`, do you mean 'train'? the tasks that exist: select, train
fixed = miniature.replace("depends: train\n", "depends: trains\n")

# says: in `depends`, after train and a dot, the results that exist: AllFailed
fixed = miniature.replace("depends: train\n", "depends: train.Finished\n")

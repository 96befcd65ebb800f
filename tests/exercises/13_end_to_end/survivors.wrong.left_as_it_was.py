# says: when one training run fails, select is Omitted
fixed = miniature

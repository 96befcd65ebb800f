# says: not YAML
fixed = miniature.replace("depends: train\n", "depends: [train\n")

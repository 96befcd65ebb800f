# says: before the last training run ended
fixed = miniature.replace("        depends: train\n", "")

miniature = yaml.safe_load(miniature)
miniature["spec"]["templates"][0]["dag"]["tasks"][1]["depends"] = "train.Succeeded || train.Failed"
fixed = miniature

# says: the manifest is empty
fixed = ""

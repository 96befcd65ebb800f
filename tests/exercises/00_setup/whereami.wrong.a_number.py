# says: the manifest is a whole number, not YAML text
whereami = 3

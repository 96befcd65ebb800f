# says: there is no manifest yet
fixed = None

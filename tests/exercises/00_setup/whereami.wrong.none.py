# says: there is no manifest yet
whereami = None

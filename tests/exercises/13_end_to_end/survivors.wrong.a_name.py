# says: give fixed a text between triple quotes
fixed = "miniature"

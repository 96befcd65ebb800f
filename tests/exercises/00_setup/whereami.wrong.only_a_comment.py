# says: the manifest is empty
whereami = """
# apiVersion: v1
---
"""

# says: why_waiting is text, expected a function
why_waiting = "ErrImagePull"


fixed_manifest = broken_manifest.replace("busybocks", "busybox").replace("name: broken", "name: fixed")

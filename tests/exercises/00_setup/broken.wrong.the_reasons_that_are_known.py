# says: for a pod with a reason that was made up, why_waiting returns None
def why_waiting(pod):
    for word in ("ErrImagePull", "ImagePullBackOff", "CrashLoopBackOff", "ImageInspectError"):
        if word in str(pod.status):
            return word


fixed_manifest = broken_manifest.replace("busybocks", "busybox").replace("name: broken", "name: fixed")

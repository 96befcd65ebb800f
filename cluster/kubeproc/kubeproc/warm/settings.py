"""Environment variables that Python, TensorFlow or its dependencies read when they are imported.

A child forked after those imports does not notice that such a variable has changed: it needs a process of its own.
"""

from __future__ import annotations

# Read when they are used, or without consequence.
HARMLESS = {"TF_CONFIG", "TF_CPP_MIN_LOG_LEVEL", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}
READ_AT_IMPORT = (
    *("ABSL_", "AUTOGRAPH_", "BLIS_", "CUDA_", "GOTO_", "GRPC_", "H5PY_", "HDF5_", "HIP_", "JAX_", "JOBLIB_", "KERAS_"),
    *("KMP_", "LD_", "LOKY_", "MALLOC_", "MKL_", "MPL", "NPY_", "NUMEXPR_", "NUMPY_", "NVIDIA_", "OMP_", "ONEDNN_"),
    *("OPENBLAS_", "PROTOCOL_BUFFERS_", "PYTHON", "SCIPY_", "SKLEARN_", "TBB_", "TF2_", "TF_", "VECLIB_", "XLA_"),
)


def is_read(name: str) -> bool:
    return name.upper().startswith(READ_AT_IMPORT)

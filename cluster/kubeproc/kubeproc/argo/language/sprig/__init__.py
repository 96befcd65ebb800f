"""sprig's functions, which expressions call as `sprig.NAME`.

`FUNCTIONS` has each with the types of its parameters, since Go refuses an argument of another type. `REFUSED` has those
of Argo's functions that are not supported here.
"""

from __future__ import annotations

from kubeproc.argo.language.sprig.codes import CODES, PATHS, PATTERNS
from kubeproc.argo.language.sprig.dates import DATES
from kubeproc.argo.language.sprig.lists import LISTS
from kubeproc.argo.language.sprig.maps import MAPS, VALUES
from kubeproc.argo.language.sprig.numbers import NUMBERS
from kubeproc.argo.language.sprig.texts import TEXTS
from kubeproc.argo.language.sprig.urls import URLS
from kubeproc.argo.language.sprig.versions import VERSIONS
from kubeproc.argo.language.values import Function

_TABLES = (TEXTS, NUMBERS, LISTS, MAPS, VALUES, DATES, CODES, PATTERNS, PATHS, VERSIONS, URLS)
FUNCTIONS: dict[str, Function] = {
    name: Function(name, types, call) for table in _TABLES for name, (types, call) in table.items()
}

REFUSED = {
    "bcrypt": "it is slow by design",
    "htpasswd": "it is slow by design",
    "genPrivateKey": "no keys are made",
    "buildCustomCert": "no certificates are made",
    "genCA": "no certificates are made",
    "genCAWithKey": "no certificates are made",
    "genSelfSignedCert": "no certificates are made",
    "genSelfSignedCertWithKey": "no certificates are made",
    "genSignedCert": "no certificates are made",
    "genSignedCertWithKey": "no certificates are made",
    "getHostByName": "names are looked up where the workflow's programs run",
}

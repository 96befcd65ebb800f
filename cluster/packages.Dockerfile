# The lab image's lower part: a base and the locked wheels, with their bytecode (without it an import of TensorFlow takes
# ten seconds more in every pod). The context holds packages.txt, wheels/ and slim.py; nothing is fetched here.
ARG BASE
FROM ${BASE} AS install
COPY packages.txt /tmp/packages.txt
COPY wheels/ /tmp/wheels/
COPY slim.py /tmp/slim.py
RUN python3 -m venv /opt/venv \
 && /opt/venv/bin/pip install --quiet --no-index --find-links /tmp/wheels --require-hashes -r /tmp/packages.txt \
 && python3 /tmp/slim.py /opt/venv/lib/python3*/site-packages

FROM ${BASE}
COPY --from=install /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

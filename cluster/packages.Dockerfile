# The lab image's lower part: a base and the locked wheels, with their bytecode (without it an import of TensorFlow takes
# ten seconds more in every pod). The context holds packages.txt and wheels/; nothing is fetched here.
ARG BASE
FROM ${BASE} AS install
COPY packages.txt /tmp/packages.txt
COPY wheels/ /tmp/wheels/
RUN python3 -m venv /opt/venv \
 && /opt/venv/bin/pip install --quiet --no-index --find-links /tmp/wheels --require-hashes -r /tmp/packages.txt \
 && cd /opt/venv/lib/python3*/site-packages \
 && rm -rf tensorflow/include pip setuptools pip-*.dist-info setuptools-*.dist-info \
 && find . -type d -name tests -prune -exec rm -rf {} +

FROM ${BASE}
COPY --from=install /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

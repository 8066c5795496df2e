# The service (`fer serve`) with the weights that come with the package, for CPUs:
#
#   docker build --tag fer-lightning --build-arg TORCH_INDEX=ADDRESS .
#   docker run --rm --env FER_TOKEN --publish 127.0.0.1:8000:8000 --stop-timeout 20 fer-lightning
#
# `compose.yaml` runs it with everything else taken away (file system, capabilities, memory without end).

FROM python:3.11-slim AS dependencies
# ADDRESS is the package index of torch's builds for CPUs, as the installation page of pytorch.org names it (Linux, Pip,
# Python, CPU), or a mirror of it. It has no default, as this project is tied to nobody's servers: without it torch comes
# from where pip finds everything else, which on Linux is the build for NVIDIA's GPUs. That works too, with some
# gigabytes of libraries that nothing here uses.
ARG TORCH_INDEX
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PATH=/opt/fer/bin:$PATH
WORKDIR /build
# From the most stable layer to the one that changes most: torch, what else is needed, the package itself. Of torch the major
# version is held, as the project is tested with its newest, and not one build.
# hadolint ignore=DL3013
RUN python -m venv /opt/fer \
    && pip install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "torch>=2.9.1,<3" "torchvision>=0.24.1,<1"
COPY pyproject.toml ./
RUN python -c "import tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
extras = project['optional-dependencies']; \
print(*project['dependencies'], *extras['serve'], *extras['heif'], sep='\n')" > requirements.txt \
    && pip install --requirement requirements.txt

FROM dependencies AS package
COPY LICENSE README.md ./
COPY configs configs
COPY fer_lightning fer_lightning
RUN pip wheel --no-deps --wheel-dir /wheel .

FROM python:3.11-slim
ENV PATH=/opt/fer/bin:$PATH PYTHONDONTWRITEBYTECODE=1
# By number, so that Kubernetes (runAsNonRoot) can tell that it is not root. It has no home, owns nothing and needs to write
# nothing.
RUN useradd --system --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin fer
COPY --from=dependencies /opt/fer /opt/fer
# Mounted and not copied: the image has the installed package and not its wheel as well.
RUN --mount=type=bind,from=package,source=/wheel,target=/wheel \
    pip install --no-deps --no-cache-dir --no-index /wheel/*.whl
WORKDIR /srv
USER 10001:10001
EXPOSE 8000
# What has begun is answered before it ends, for 10 seconds at most (`--stop_timeout`). Docker kills after 10 as well unless
# it is told to wait longer: `stop_grace_period` in compose.yaml, `--stop-timeout` on the command line. Status 143 (128
# and the number of SIGTERM) is an end in order.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
# It demands a token (FER_TOKEN, or --token_file with a file that is mounted), as other machines can reach it.
# Options after the image's name are added: `... fer-lightning --ckpt_path /models/mine.safetensors`.
ENTRYPOINT ["fer", "serve", "--host", "0.0.0.0", "--port", "8000"]

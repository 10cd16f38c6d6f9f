# mprism in a container: one of its workers, the engine, or a whole home, which is the default.
#
#   docker build -t mprism .                                      from this checkout
#   docker build -t mprism --target prebuilt -f Dockerfile DIR    from DIR/mprism: no compiler, and no network
#
# docs/containers.md says how it is run; `mprism infra compose --workers` writes a compose file of it.
ARG BUILD_IMAGE=rust:1.95-slim-bookworm
ARG RUNTIME_IMAGE=debian:bookworm-slim

FROM ${RUNTIME_IMAGE} AS base
RUN mkdir -p /var/lib/mprism && chown 10001:10001 /var/lib/mprism
ENV MPRISM_HOME=/var/lib/mprism HOME=/var/lib/mprism
USER 10001:10001
WORKDIR /var/lib/mprism
STOPSIGNAL SIGTERM
# Of a whole home; a worker alone is asked with `mprism worker NAME --probe`.
HEALTHCHECK --interval=10s --timeout=10s --start-period=120s --retries=3 CMD ["mprism", "health"]
ENTRYPOINT ["mprism"]
CMD ["start", "--foreground"]

FROM base AS prebuilt
COPY mprism /usr/local/bin/mprism

FROM ${BUILD_IMAGE} AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin mprism

FROM base
# Whom the exchanges' certificates are checked against.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/target/release/mprism /usr/local/bin/mprism

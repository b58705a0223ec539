# One image with the three programs; which one a container is, its command says.

FROM rust:1.95.0-slim-bookworm AS build
WORKDIR /src
COPY . .
# What was compiled before stays in the cache mounts, so that a change in one crate compiles no other package again.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --release --locked --package api --package workers --package sandbox \
    && install -D --target-directory=/out target/release/api target/release/workers target/release/sandbox

FROM debian:12.12-slim
# The authorities that gateways, order systems and issuers of tokens are checked with.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin droplane
COPY --from=build /out/ /usr/local/bin/
USER 10001
CMD ["api"]

# The mirror in one process, over a folder or a bucket; with `serve --tier` a server of a deployment's stream tier.
# docker build -t nearside .                                          docs/container.md says how to run it
ARG NODE_IMAGE=docker.io/library/node:24-trixie-slim

FROM ${NODE_IMAGE} AS package
WORKDIR /source
COPY package.json package-lock.json ./
# esbuild runs without its install script, and Node is in the image.
ARG INSTALL="npm ci --ignore-scripts --no-audit --no-fund"
RUN ${INSTALL}
COPY . .
# The package has documents, and the image none.
RUN mkdir docs && touch README.md CHANGELOG.md && node infra/package.ts && tar -xzf nearside-*.tgz -C / && \
  cd /package && rm -rf deploy docs README.md CHANGELOG.md

FROM ${NODE_IMAGE}
COPY --from=package /package /opt/nearside
RUN mkdir /data && chown 1000:1000 /data
# A name would have to be looked up by those who check that it is not root.
USER 1000:1000
WORKDIR /data
# Fargate gives a volume the owner and the mode that the image says; elsewhere the root may be read-only without more.
VOLUME ["/data", "/tmp"]
# Large buffers are returned to the system when they are freed, not kept in a heap that has holes: after peaks half the memory.
ENV NODE_ENV=production MALLOC_MMAP_THRESHOLD_=131072
EXPOSE 7880
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
  CMD ["node", "-e", "const ask = (protocol) => require(protocol).get({ port: 7880, path: '/-/health/live', rejectUnauthorized: false }, (answer) => process.exit(answer.statusCode === 200 ? 0 : 1)).on('error', () => protocol === 'http' ? ask('https') : process.exit(1)); ask('http')"]
# Node itself gets the signals: SIGTERM lets requests finish.
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "/opt/nearside/cli/nearside.mjs"]
CMD ["serve", "--host", "0.0.0.0", "--store", "/data"]

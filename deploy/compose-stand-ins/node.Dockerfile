# Stand-in for the official image of Node: its program and npm on Debian, and its user.
# The context has node/ and npm/, both as npm packs them, and ca-certificates.crt.
FROM orrery-stand-in-debian
RUN apt-get update -q \
  && apt-get install -q -y --no-install-recommends libatomic1 \
  && rm -rf /var/lib/apt/lists/* \
  && groupadd --gid 1000 node && useradd --uid 1000 --gid node --create-home --shell /bin/bash node
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
# Node trusts its own list, not the system's.
ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
COPY npm /usr/local/lib/node_modules/npm
COPY node/bin/node /usr/local/bin/node
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm
CMD ["node"]

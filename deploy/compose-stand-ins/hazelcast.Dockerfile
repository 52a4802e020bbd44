# Stand-in for the official image of Hazelcast: the same jar in the same folder, a Java runtime,
# bash and curl, and its user. The context has lib/ with the jar.
FROM orrery-stand-in-debian
RUN useradd -r --uid 10001 --gid root --home-dir /opt/hazelcast hazelcast \
  && apt-get update -q \
  && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
    openjdk-17-jre-headless curl \
  && rm -rf /var/lib/apt/lists/*
COPY lib /opt/hazelcast/lib
ENV HZ_HOME=/opt/hazelcast
WORKDIR /opt/hazelcast
USER hazelcast
EXPOSE 5701

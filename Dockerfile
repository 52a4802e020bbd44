# Image of Orrery: a processing unit (`unit`) or the exchange (`exchange`), as its command says.
# The base image brings the very Node that package.json asks of npm, so npm's copies are left out.
FROM node:26.10.0-slim AS packages
WORKDIR /opt/orrery
COPY .npmrc package.json package-lock.json ./
RUN npm ci --omit=dev && rm -r node_modules/node-linux-*

FROM node:26.10.0-slim
WORKDIR /opt/orrery
ENV NODE_ENV=production
COPY --from=packages /opt/orrery/node_modules node_modules
COPY LICENSE package.json ./
COPY bin bin
COPY src src
# A new volume gets the owner of the folder that it covers.
RUN install -d -o node -g node /data
USER node
ENV ORRERY_DATA=/data
EXPOSE 7070
ENTRYPOINT ["node", "/opt/orrery/bin/orrery.cjs"]
CMD ["unit"]

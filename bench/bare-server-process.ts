// Bare server: what a bidder costs that does nothing: fastify, the same bodies, the same answers.
// Owns: two routes. `/none` answers 204, `/bid` answers 200 with a prepared response around the
// request's id. Whatever a unit costs more than this, Orrery and the bidder cost.
import fastify from "fastify";
import { bareResponse } from "./bid-bodies.ts";

const server = fastify({ bodyLimit: 64 * 1024, keepAliveTimeout: 60_000 });
server.post("/none", (_request, reply) => {
  reply.code(204).send();
});
server.post<{ Body: { id: string } }>("/bid", (request, reply) => {
  reply.type("application/json").send(bareResponse(request.body.id));
});
process.once("SIGTERM", () => void server.close());
process.stdout.write(`serving ${await server.listen({ host: "127.0.0.1", port: 0 })}\n`);

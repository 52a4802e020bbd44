// A command request of which a test says only what matters to it.
import type { CommandRequest } from "../../src/messaging-grid/frames.ts";

export function commandRequest(given: Partial<CommandRequest>): CommandRequest {
  return {
    command: "echo",
    input: null,
    partition: 0,
    deadlineMs: 1000,
    ack: "journal",
    read: "local",
    origin: null,
    idempotencyKey: null,
    correlationId: null,
    ...given,
  };
}

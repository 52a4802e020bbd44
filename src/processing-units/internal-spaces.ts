// Internal spaces: entries of a partition that belong to the engine, not to the application. They
// are journaled, checkpointed and folded as all others are; no table and no handler knows them.
// Owns: their names. An application's spaces cannot begin with "$".

/** What was answered to whom: one row for each sender, under its incarnation. */
export const senderSpace = "$senders";

/** Answers to commands that came with a client's Idempotency-Key, under that key. */
export const requestSpace = "$requests";

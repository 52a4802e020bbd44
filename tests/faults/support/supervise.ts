// Supervise: what runs a guard in production starts again what the guard has killed, as the restart
// policy of docker-compose.yml does. Owns: that, until the test is over.
// While one member hangs, another may stand still long enough on a busy machine to be killed, too:
// the members' own threads wait for the one that hangs (docs/operations/hazelcast.md).
import { onTestFinished } from "vitest";
import type { Member } from "../../../src/faults/hazelcast-members.ts";

/** Exit code of a guard that killed its member because it was not ready, or stood still. */
const killedByGuard = 3;

/** Starts these members again whenever their guards have killed them. */
export function supervise(members: readonly Member[]): void {
  let isOver = false;
  onTestFinished(() => {
    isOver = true;
  });
  const watch = async (member: Member): Promise<void> => {
    while ((await member.ended).code === killedByGuard && !isOver) await member.start();
  };
  for (const member of members) void watch(member);
}

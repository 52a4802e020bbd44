// Starts one member without and one with its guard, prints the numbers of their processes, and
// lives until it is killed.
// Use: node members-parent-process.ts FOLDER
import { HazelcastMembers } from "../../src/faults/hazelcast-members.ts";

const [folder = ""] = process.argv.slice(2);
const pids: number[] = [];
for (const guarded of [false, true]) {
  const cluster = await HazelcastMembers.start({ folder, guarded, members: 1 });
  const { pid, guardPid } = cluster.member(1);
  pids.push(pid);
  if (guardPid !== null) pids.push(guardPid);
}
console.log(`members ${pids.join(" ")}`);
process.stdin.resume();

// Round trips between two threads per second: what the way between lanes costs.
// Run by hand: `npx node tests/messaging-grid/round-trips-process.ts`. port-link.test.ts runs the
// same code at a small size, and judges no time.
// NOT measured: what the owner's lane does with a command; more than two threads; a busy machine.
import { EchoLane, roundTrips } from "./echo-lane.ts";

const bid = {
  user: "user-00012345",
  request: "req-000000123456",
  imps: [{ id: "1", floor: 1200, candidates: ["campaign-1", 2500, "campaign-7", 1900] }],
};

const lane = new EchoLane();
await roundTrips(lane, { calls: 20_000, inFlight: 64, input: bid }); // warm
for (let round = 0; round < 5; round++) {
  for (const [inFlight, calls] of [
    [1, 10_000],
    [64, 200_000],
    [1024, 200_000],
  ] as const) {
    const before = process.cpuUsage();
    const tookMs = await roundTrips(lane, { calls, inFlight, input: bid });
    const { user, system } = process.cpuUsage(before);
    const rate = Math.round((calls / tookMs) * 1000);
    const cpuUs = ((user + system) / calls).toFixed(2);
    console.log(`in flight ${inFlight}: ${rate}/s, ${cpuUs} us CPU of both threads per call`);
  }
}
await lane.stop();

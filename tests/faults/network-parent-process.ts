// Makes a network and a cut in it, prints the first namespace and its address, and lives until it
// is killed.
import { MemberNetwork } from "../../src/faults/network.ts";

const network = await MemberNetwork.make(2);
await network.cut(1, [2, "client"]);
const [place] = network.places;
console.log(`network ${place?.prefix.at(-1) ?? ""} ${place?.host ?? ""}`);
process.stdin.resume();

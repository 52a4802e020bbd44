// Limits: every queue, batch, frame, value and wait has one, and all of them stand here.
// Owns: the numbers and how they relate. Each is met with a typed failure or with backpressure,
// never with a silent drop; what happens at a limit is said beside it.
import { assert } from "./assert.ts";

export const limits = {
  /** Partitions of a grid: at least one; the key format has 16 bits for them. */
  partitionsMax: 4096,
  /** Partitions of a new grid where nobody says how many. */
  partitionsDefault: 32,
  /** Lanes of one processing unit. */
  lanesMax: 64,

  /** A routing key or entry key in UTF-8 bytes. Longer: INPUT_INVALID. */
  keyBytesMax: 1024,
  /** One value, encoded. Larger: VALUE_TOO_LARGE, the command changes nothing. */
  valueBytesMax: 256 * 1024,
  /** Objects and lists within one another in one value. Deeper: HANDLER_FAILED. */
  valueDepthMax: 64,
  /** Changes of one command, encoded. Larger: VALUE_TOO_LARGE, the command changes nothing. */
  commandBytesMax: 512 * 1024,
  /** Changes that one record carries before the next batch begins. */
  recordBytesMax: 1024 * 1024,

  /** A request body over HTTP. Larger: 413. */
  bodyBytesMax: 64 * 1024,
  /** Its headers. Larger: 431. */
  headerBytesMax: 16 * 1024,
  /** Time for a request to arrive, headers and body. Longer: 408, found out at the next check. */
  requestMsMax: 10_000,
  requestCheckMs: 5000,
  /** A frame between lanes. */
  frameBytesMax: 4 * 1024 * 1024,
  /** Bytes that wait for one peer lane. More: OVERLOADED. */
  peerQueueBytesMax: 32 * 1024 * 1024,
  /** Calls to one peer lane that are not answered yet. More: OVERLOADED, at once. */
  peerCallsPendingMax: 16 * 1024,
  /** Between pings to another process, the longest silence, the longest wait for a clean close. */
  peerPingIntervalMs: 1000,
  peerSilenceMsMax: 5000,
  peerCloseMsMax: 1000,
  /** One try to connect to a lane of another process. */
  peerConnectMs: 2000,
  /** Commands that one lane has accepted and not yet answered. More: OVERLOADED, at once. */
  laneCommandsInFlightMax: 4096,
  /** Those of them whose callers wait for the database: when it is away, others must get in. */
  laneWrittenInFlightMax: 2048,
  /**
   * Commands that wait for one partition's next record, and as many more that wait for the
   * database. More: OVERLOADED, at once.
   */
  partitionCommandsWaitingMax: 2048,

  /** A command's deadline where the caller gives none, and the longest that may be given. */
  commandDeadlineMs: 1000,
  commandDeadlineMsMax: 60_000,
  /** Who waits for the database is told so long before the deadline: the answer has a way back. */
  writtenAnswerMs: 10,
  /** One read of a store; after it the outcome counts as unknown and the call is repeated. */
  storeReadMs: 2000,
  /** One write, and more for each 64 KiB: a member that died may have been asked for its backup. */
  storeWriteMs: 300,
  storeWriteMsPer64KiB: 100,
  /** Between repeats of a store call: from, doubling, to. */
  storeBackoffMsMin: 5,
  storeBackoffMsMax: 500,
  /** A partition whose store is silent longer takes no more commands: GRID_UNAVAILABLE. */
  storeSilenceMsMax: 1000,

  /** Bytes on their way to one member. More: they wait here, not in the client's queue. */
  hazelcastMemberBytesMax: 1024 * 1024,
  /** Keys of one read, and reads at once. */
  hazelcastReadKeys: 100,
  /** Connecting at a start, or anew. Longer: STORE_UNREACHABLE, or another try. */
  hazelcastConnectMs: 10_000,
  /** Between tries to connect again: from, and to what a store call backs off. */
  hazelcastReconnectMsMin: 50,
  /** Between pings to a member; the longest silence. */
  hazelcastHeartbeatMs: 1000,
  hazelcastSilenceMsMax: 5000,
  /** The client's own wait for a backup's word; our deadline is over long before. */
  hazelcastBackupMs: 2000,
  /** How often a client is looked at; so long below a majority, or with a call open: replaced. */
  hazelcastWatchMs: 250,
  hazelcastMinorityMsMax: 1000,
  hazelcastHangMsMax: 8000,

  /** Lanes of all units of one grid. One more: ROSTER_FULL. */
  rosterSlotsMax: 256,
  /** Slots that are read first; each read that finds no empty one is followed by twice as many. */
  rosterReadSlots: 32,
  /** A lane tries so long to get a slot, then says what the store said. */
  rosterJoinMsMax: 10_000,
  /** A lane says that it lives; another that has seen no new heartbeat for so long may doubt it. */
  heartbeatMs: 100,
  heartbeatStillMs: 450,
  /** A lane joins so long before partitions are given to it: those of one start come together. */
  joinSettleMs: 250,
  /** A lane that joins more often than that waits longer each time, up to this. */
  joinsAtOnceMax: 3,
  joinDelayMsMax: 60_000,
  /** A lane that lives and cannot be reached for so long: commands to it are answered so. */
  peerUnreachableMs: 1000,
  /** Partitions that a lane hands over at once, until the next owner serves or so long after. */
  handOversMax: 2,
  handOverMsMax: 250,
  /** A wall clock that is further off the others': its lane claims nothing. */
  clockOffsetMsMax: 5000,
  /** A lane whose own heartbeat is older than this answers no read from memory alone. */
  staleReadMsMax: 400,

  /** Commands that so many owners died of are refused: POISON. */
  poisonAttempts: 2,
  /** Claims in a row with nothing between them, within a minute. More: the partition halts. */
  emptyClaimsMax: 16,
  /** A partition that stops this often without serving a minute in between halts. */
  partitionStopsMax: 4,
  /** Answers kept under a client's Idempotency-Key: for how long, and how many in a partition. */
  idempotencyWindowMs: 24 * 3_600_000,
  idempotencyKeysMax: 10_000,
  idempotencyKeyLengthMax: 256,
  /** A lane that was last heard of so long ago has left its slot to others. */
  slotForgottenMs: 600_000,
  /** A sender that has left the roster is forgotten after this: nothing of it can still arrive. */
  senderForgottenMs: 600_000,
  senderCheckMs: 60_000,
  /** Between tries of a command whose owner is not known or moves. */
  commandRetryMs: 20,

  /** Where no write to LMDB ended for so long, who sleeps at its lock is woken (lmdb-waker.ts). */
  lmdbStillMs: 1000,
  /** So long a process keeps the lock that lets it write while nobody opens (lmdb-opening.ts). */
  lmdbSharedMs: 20,
  /** Where somebody opens, it is asked for again after. */
  lmdbSharedRetryMs: 2,
  /** Who opens waits so long at once, and nobody begins to write meanwhile; then he lets them. */
  lmdbAloneTryMs: 100,
  lmdbAlonePauseMs: 400,
  /** And gives up after: who keeps the lock so long stands still. */
  lmdbAloneMs: 30_000,
  /** What logs and checkpoints may take in the grid where nobody says. More: GRID_FULL. */
  gridBytesDefault: 4 * 1024 * 1024 * 1024,
  /** A checkpoint is worth it from so many bytes of log, and from half of the state's. */
  checkpointLogBytesMin: 512 * 1024,
  /** One segment of a checkpoint, about: encoding or loading it takes a lane less than 1 ms. */
  segmentBytes: 64 * 1024,
  /** What a checkpoint record says itself of changes during its encoding. */
  checkpointDeltaBytesMax: 256 * 1024,

  /** Records that one read of a log asks for, and about how many bytes of them while it loads. */
  logReadRecords: 256,
  logReadBytes: 128 * 1024,
  /** A rebuild ends a log so many records beyond what its owner is known to have acknowledged. */
  endRecordsBeyond: 256,
  /** A rebuild waits so long for a database, or a store's roster, that does not answer. */
  rebuildDatabaseMsMax: 60_000,
  /** What a rebuild keeps in memory of all partitions until it is written as segments. */
  rebuildBufferBytes: 64 * 1024 * 1024,
  /** How far back an owner looks after a change of members: longer than the news of one takes. */
  tailCheckMs: 30_000,

  /** Transactions of one lane's pump that the database is given before the first is answered. */
  pumpTransactionsInFlight: 2,
  /** A transaction should take the database about so long: its size follows from that. */
  pumpTransactionMs: 100,
  /** Records and bytes that one database transaction carries (sending 8 MB takes a lane 20 ms). */
  pumpTransactionRecordsMax: 2048,
  pumpTransactionBytesMax: 2 * 1024 * 1024,
  /** Records kept in memory for the pump; older ones are read again from the log. */
  pumpMemoryBytesMax: 16 * 1024 * 1024,
  /** Records that the pump asks the log for at once, for each partition that is behind. */
  pumpReadRecords: 64,
  /** Changes that the pump handles before it lets the lane's event loop go on. */
  pumpSliceChanges: 250,
  /** Between the starts of two transactions that are far from full: what comes gathers. */
  pumpGatherMs: 20,
  /** Connecting to the database, and one transaction in it. Longer: it counts as away. */
  databaseConnectMs: 5000,
  databaseTransactionMs: 30_000,
  /** Between tries while the database is away: from, doubling, to. */
  pumpBackoffMsMin: 50,
  pumpBackoffMsMax: 2000,
  /** So many failures in a row, and the database is left alone for a while. */
  breakerFailures: 5,
  /** Dead letters of one partition. More: it is written no further until some are gone. */
  deadLettersMax: 10_000,
  /** Journaled and not yet written, of one partition and of one lane. More: BACKLOG_FULL. */
  backlogRecordsMax: 1_000_000,
  backlogBytesMax: 96 * 1024 * 1024,
  backlogLaneRecordsMax: 4_000_000,
  backlogLaneBytesMax: 1024 * 1024 * 1024,
  /** Rows that a rebuild reads, and has under way to the grid, at once. */
  readerRows: 1000,
  /** An owner with nothing to pump looks at its progress row this often. */
  pumpIdleCheckMs: 3000,

  /** A lane says how it is this often; silent for so long, it is stuck: ended and replaced. */
  laneStatusMs: 1000,
  laneSilenceMsMax: 15_000,
  /** An alarm that lasts is said again after so long. */
  alarmRepeatMs: 60_000,
  /** Beyond the waits that a lane has itself: a lane that was told to end and did not is stuck. */
  laneEndMsMax: 5000,
  /** Draining at a stop: longest wait for answers, then for the pump. */
  drainAnswersMsMax: 10_000,
  drainPumpMsMax: 30_000,
  /** At the very end, for the database to be told that nothing follows. */
  drainFinalMsMax: 5000,

  /** Connections of a load generator to one target: more requests than that wait for one. */
  loadConnectionsPerTarget: 64,
  /** How often a load generator asks which addresses a target's name has, to spread over them. */
  loadSpreadMs: 1000,
  /** Requests of a load that are sent and not yet finished. More: counted as not sent. */
  loadInFlightMax: 8192,
  /** What is asked of one load generator: the highest rate, the longest time, the most bodies. */
  loadRateMax: 200_000,
  loadDurationMsMax: 3_600_000,
  loadBodiesMax: 1_000_000,
  loadBodyBytesMax: 64 * 1024 * 1024,
  /** Connections that one may have: the system allows about so many open files. */
  loadConnectionsMax: 4096,
  /** The time that a request of a load may take where nobody says, and at most. */
  loadDeadlineMs: 10_000,
  loadDeadlineMsMax: 60_000,
  /** From here on what it measured may be its own: its lateness (p99), its part of a core. */
  loadLatenessMsMax: 5,
  loadCpuPercentMax: 80,
  /** What a load generator reads of one response. More: RESPONSE_MALFORMED. */
  responseHeadBytesMax: 16 * 1024,
  responseBodyBytesMax: 1024 * 1024,
  /** An answer that is awaited no longer holds its connection this long, then loses it. */
  abandonedAnswerMs: 5000,
  connectMsMax: 3000,
  /** Between tries to connect again: from, doubling, to. */
  reconnectMsMin: 10,
  reconnectMsMax: 500,

  /** Notices of the exchange that wait for their time, an answer or a repeat. More: given up. */
  noticesPendingMax: 200_000,
  /** Places that notices are sent to. A notice for one more: given up. */
  noticeOriginsMax: 64,
  noticeConnectionsPerOrigin: 64,
  /** One try of a notice; between tries; from the first try to giving up. */
  noticeAnswerMsMax: 6000,
  noticeRepeatMs: 1000,
  noticeGiveUpMs: 60_000,
  /** Pause between two fsyncs of the exchange's ledger: what comes meanwhile shares the next. */
  ledgerGroupMs: 20,

  /** Pages open on one lane. More: OVERLOADED. */
  liveClientsMax: 64,
  /** What a page may send at once: nothing is expected of it. Larger: the connection ends. */
  liveMessageBytesMax: 1024,
  /** Bytes that wait for one page. More: it is too slow, its connection ends. */
  liveQueueBytesMax: 1024 * 1024,
  /** Between pings to a page, the longest silence, the longest wait for a clean close. */
  livePingIntervalMs: 5000,
  liveSilenceMsMax: 15_000,
  liveCloseMsMax: 1000,
} as const;

assert(limits.valueBytesMax <= limits.commandBytesMax, "a command can carry the largest value");
assert(limits.commandBytesMax <= limits.recordBytesMax, "a record can carry the largest command");
assert(limits.recordBytesMax < limits.frameBytesMax, "a frame can carry the largest record");
assert(limits.bodyBytesMax < limits.frameBytesMax, "a frame can carry the largest body");
assert(limits.frameBytesMax < limits.peerQueueBytesMax, "a peer's queue can hold a frame");
assert(
  limits.laneCommandsInFlightMax <= limits.peerCallsPendingMax,
  "a lane's commands may all go to one peer",
);
assert(
  limits.laneWrittenInFlightMax < limits.laneCommandsInFlightMax,
  "those that wait for the database leave room for others",
);
assert(limits.peerPingIntervalMs < limits.peerSilenceMsMax, "a ping comes before silence counts");
assert(limits.livePingIntervalMs < limits.liveSilenceMsMax, "a page hears a ping before it counts");
assert(limits.recordBytesMax <= limits.pumpTransactionBytesMax, "a transaction holds any record");
assert(limits.pumpTransactionBytesMax <= limits.pumpMemoryBytesMax, "memory holds a transaction");
assert(
  limits.backlogBytesMax * 32 < limits.gridBytesDefault,
  "with the default partitions a backlog is full before the grid is",
);
assert(limits.backlogBytesMax <= limits.backlogLaneBytesMax, "a lane holds a partition's backlog");
assert(limits.pumpReadRecords <= limits.logReadRecords, "one read of a log serves the pump");
assert(limits.databaseConnectMs < limits.databaseTransactionMs, "a transaction can connect first");
assert(limits.laneStatusMs * 5 < limits.laneSilenceMsMax, "a busy lane is not a silent one");
assert(limits.writtenAnswerMs < limits.commandDeadlineMs, "what waits by default can be written");
assert(limits.commandDeadlineMs <= limits.commandDeadlineMsMax, "the default deadline is allowed");
assert(limits.noticeRepeatMs < limits.noticeGiveUpMs, "a notice is repeated before it is given up");
assert(
  limits.hazelcastSilenceMsMax + limits.hazelcastBackupMs < limits.hazelcastHangMsMax,
  "a call is open so long only where the client forgot it",
);
assert(limits.storeWriteMs < limits.storeSilenceMsMax, "one late answer is not yet silence");
assert(limits.heartbeatMs * 3 < limits.heartbeatStillMs, "a beat or two may be late");
assert(limits.staleReadMsMax < limits.heartbeatStillMs, "reads from memory end before a take-over");
assert(limits.checkpointDeltaBytesMax < limits.recordBytesMax, "a record can carry the delta");
assert(limits.partitionsMax <= 0xffff, "a partition's number fits its 16 bits");
assert(limits.loadDeadlineMs <= limits.loadDeadlineMsMax, "a load's default deadline is allowed");
assert(limits.loadConnectionsMax <= limits.loadInFlightMax, "every connection may be busy");

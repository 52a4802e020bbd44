// Unit counts: what a unit says of itself at /metrics.
// Owns: reading it, and the counts that a measurement is checked against.

export interface UnitCounts {
  readonly bids: number;
  readonly noBids: number;
  /** Answered "no bid" because there was no time left. */
  readonly shed: number;
  /** Answered "no bid" because something failed. */
  readonly failed: number;
  /** Notices that settled a bid, and those that were not taken. */
  readonly settled: number;
  readonly refusedNotices: number;
  /** Records journaled, and their bytes. */
  readonly records: number;
  readonly logBytes: number;
}

const pauseMs = 250;

/**
 * The counts once `answers` bid requests are in them: they come about once a second. All counts
 * are of the same moment. Without so many within `patienceMs`: those there are.
 */
export async function unitCounts(
  url: string,
  answers: number,
  patienceMs = 60_000,
): Promise<UnitCounts> {
  const untilMs = performance.now() + patienceMs;
  for (;;) {
    const counts = await readCounts(url);
    const known = counts.bids + counts.noBids + counts.shed + counts.failed;
    if (known >= answers || performance.now() > untilMs) return counts;
    await new Promise((resolve) => {
      setTimeout(resolve, pauseMs);
    });
  }
}

/** What a unit says at /metrics, by name and labels; about a second old. */
export async function metricsOf(url: string): Promise<Map<string, number>> {
  const response = await fetch(`${url}/metrics`);
  const values = new Map<string, number>();
  for (const line of (await response.text()).split("\n")) {
    const space = line.lastIndexOf(" ");
    if (!line.startsWith("#") && space > 0)
      values.set(line.slice(0, space), Number(line.slice(space)));
  }
  return values;
}

async function readCounts(url: string): Promise<UnitCounts> {
  const values = await metricsOf(url);
  const answersOf = (kind: string) =>
    values.get(`orrery_bidding_answers_total{answer="${kind}"}`) ?? 0;
  const noticesOf = (kind: string) =>
    values.get(`orrery_bidding_notices_total{effect="${kind}"}`) ?? 0;
  return {
    bids: answersOf("bid"),
    noBids: answersOf("noBid"),
    shed: answersOf("shed"),
    failed: answersOf("error"),
    settled: noticesOf("billed") + noticesOf("lost"),
    refusedNotices: noticesOf("refused"),
    records: values.get("orrery_log_appends") ?? 0,
    logBytes: values.get("orrery_log_bytes") ?? 0,
  };
}

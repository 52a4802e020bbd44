-- The exchange's ledger against the rows in the database: each row of the answer is a difference.
-- Before it, in the same session: a table `ledger` with one line of the ledger in each row (jsonb),
-- and the variable `campaigns`, the JSON of the campaigns that the unit was started with.
WITH told AS (
  SELECT line->>'event' AS event, line->>'bidId' AS bid, (line->>'priceMicros')::bigint AS price
  FROM ledger),
budgets AS (
  SELECT campaign->>'id' AS campaign, ((campaign->>'budget')::numeric * 1000000)::bigint AS micros
  FROM jsonb_array_elements(:'campaigns'::jsonb) AS campaign),
spent AS (
  SELECT campaign_id AS campaign, sum(spent_micros) AS micros FROM purses GROUP BY 1),
paid AS (
  SELECT campaign_id AS campaign, sum(paid_micros) AS micros FROM settlements GROUP BY 1)
SELECT format('bid %s for %s: the database has %s', t.bid, t.price, b.price_micros)
FROM told t LEFT JOIN bids b ON b.bid_id = t.bid
WHERE t.event = 'bid' AND b.price_micros IS DISTINCT FROM t.price
UNION ALL
SELECT format('bid %s, billed for %s: the database has %s, %s', t.bid, t.price, s.outcome, s.paid_micros)
FROM told t LEFT JOIN settlements s ON s.bid_id = t.bid
WHERE t.event = 'billed'
  AND (s.outcome IS DISTINCT FROM 'billed' OR s.paid_micros IS DISTINCT FROM t.price)
UNION ALL
SELECT format('bid %s, lost: the database has %s', t.bid, s.outcome)
FROM told t LEFT JOIN settlements s ON s.bid_id = t.bid
WHERE t.event = 'lost' AND s.outcome IS DISTINCT FROM 'lost'
UNION ALL
SELECT format('campaign %s spent %s of a budget of %s', s.campaign, s.micros, b.micros)
FROM spent s LEFT JOIN budgets b USING (campaign) WHERE (s.micros <= b.micros) IS NOT TRUE
UNION ALL
SELECT format('campaign %s spent %s, and its settlements paid %s', campaign, s.micros, p.micros)
FROM spent s FULL JOIN paid p USING (campaign) WHERE coalesce(s.micros, 0) <> coalesce(p.micros, 0);

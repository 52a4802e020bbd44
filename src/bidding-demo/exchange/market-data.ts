// Market data: what the exchange's made-up publishers, devices and places are called.
// Owns: the lists and their weights, as parts of a bid request in JSON. Does not own: which of them
// a request gets (market.ts).
// All domains end in .example, all names are made up.

export interface Weighted<T> {
  readonly weight: number;
  readonly value: T;
}

interface Size {
  readonly w: number;
  readonly h: number;
}

function weighted<T>(...pairs: readonly (readonly [weight: number, value: T])[]): Weighted<T>[] {
  return pairs.map(([weight, value]) => ({ weight, value }));
}

/** Banner sizes by how often they are offered; several: the seller takes any of them. */
export const sizes: readonly Weighted<readonly Size[]>[] = weighted(
  [32, [{ w: 300, h: 250 }]],
  [18, [{ w: 728, h: 90 }]],
  [16, [{ w: 320, h: 50 }]],
  [10, [{ w: 160, h: 600 }]],
  [8, [{ w: 300, h: 600 }]],
  [5, [{ w: 970, h: 250 }]],
  [4, [{ w: 320, h: 100 }]],
  [3, [{ w: 336, h: 280 }]],
  [
    4,
    [
      { w: 300, h: 250 },
      { w: 300, h: 600 },
    ],
  ],
);

/** ISO 3166-1 alpha-3, as OpenRTB has them. */
export const countries: readonly Weighted<string>[] = weighted(
  [38, "USA"],
  [10, "GBR"],
  [10, "DEU"],
  [8, "FRA"],
  [6, "CAN"],
  [5, "ESP"],
  [5, "ITA"],
  [4, "NLD"],
  [4, "POL"],
  [4, "AUS"],
  [3, "JPN"],
  [3, "BRA"],
);

/** IAB Content Taxonomy 1.0, first level, with the word that begins the site's domain. */
export const categories = [
  ["IAB12", "news"],
  ["IAB17", "sports"],
  ["IAB1", "shows"],
  ["IAB19", "tech"],
  ["IAB9", "hobby"],
  ["IAB20", "travel"],
  ["IAB22", "shopping"],
  ["IAB2", "cars"],
  ["IAB8", "food"],
  ["IAB13", "money"],
  ["IAB7", "health"],
  ["IAB18", "style"],
  ["IAB3", "business"],
  ["IAB10", "home"],
  ["IAB15", "science"],
  ["IAB6", "family"],
  ["IAB5", "school"],
  ["IAB16", "pets"],
] as const;

interface Device {
  readonly ua: string;
  readonly devicetype: number;
  readonly make: string;
  readonly os: string;
  readonly osv: string;
  readonly w: number;
  readonly h: number;
}

const mozilla = "Mozilla/5.0";
const webkit = "AppleWebKit/537.36 (KHTML, like Gecko)";

function desktop(
  system: string,
  browser: string,
  make: string,
  os: string,
  osv: string,
  [w, h]: readonly [number, number],
): Device {
  return { ua: `${mozilla} (${system}) ${browser}`, devicetype: 2, make, os, osv, w, h };
}

function phone(model: string, make: string, os: string, osv: string, browser: string): Device {
  return { ua: `${mozilla} (${model}) ${browser}`, devicetype: 4, make, os, osv, w: 390, h: 844 };
}

const safari = "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1";

export const devices: readonly Weighted<Device>[] = weighted(
  [
    26,
    desktop(
      "Windows NT 10.0; Win64; x64",
      `${webkit} Chrome/131.0.0.0 Safari/537.36`,
      "PC",
      "Windows",
      "10",
      [1920, 1080],
    ),
  ],
  [
    8,
    desktop(
      "Windows NT 10.0; Win64; x64; rv:133.0",
      "Gecko/20100101 Firefox/133.0",
      "PC",
      "Windows",
      "10",
      [1536, 864],
    ),
  ],
  [
    12,
    desktop(
      "Macintosh; Intel Mac OS X 10_15_7",
      `${webkit} Chrome/131.0.0.0 Safari/537.36`,
      "Apple",
      "macOS",
      "15",
      [1440, 900],
    ),
  ],
  [
    4,
    desktop(
      "X11; Linux x86_64",
      `${webkit} Chrome/130.0.0.0 Safari/537.36`,
      "PC",
      "Linux",
      "6",
      [1920, 1200],
    ),
  ],
  [28, phone("iPhone; CPU iPhone OS 18_1 like Mac OS X", "Apple", "iOS", "18.1", safari)],
  [
    22,
    phone(
      "Linux; Android 14; K",
      "Samsung",
      "Android",
      "14",
      `${webkit} Chrome/131.0.0.0 Mobile Safari/537.36`,
    ),
  ],
);

/** Categories and advertisers that most publishers of this exchange block. */
export const blocked = {
  bcat: ["IAB24", "IAB25", "IAB26", "IAB7-39", "IAB8-5", "IAB8-18", "IAB9-9", "IAB14-1"],
  badv: ["blocked-one.example", "blocked-two.example", "blocked-three.example"],
};

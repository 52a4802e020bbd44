// Creative: the banner that a campaign shows, as HTML, and the part of a bid that describes it.
// Owns: the markup. Does not own: which size a bid offers (bid-response.ts).
// A banner loads nothing from anywhere: its texts are all there is to it, so it can be shown on a
// page without network.
import { biddingLimits } from "./bidding-limits.ts";

/** One size of a campaign's banner, ready to be put into a response. */
export interface Creative {
  readonly width: number;
  readonly height: number;
  /** The fields of a bid that are the same for each bid with this creative, as JSON. */
  readonly bidFieldsJson: string;
}

export interface Banner {
  readonly campaignId: string;
  readonly categories: readonly string[];
  readonly advertiserDomain: string;
  readonly headline: string;
  readonly landingPage: string;
  readonly width: number;
  readonly height: number;
}

const replacements: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
  // A macro of OpenRTB begins with it; a text of an advertiser is never one.
  $: "&#36;",
};

/** The creative of one banner. */
export function makeCreative(banner: Banner): Creative {
  const { campaignId, width, height } = banner;
  const fields = JSON.stringify({
    adomain: [banner.advertiserDomain],
    cat: banner.categories,
    cid: campaignId,
    crid: `${campaignId}-${width}x${height}`,
    w: width,
    h: height,
    mtype: 1,
    exp: biddingLimits.bidExpirySeconds,
    adm: markup(banner),
  });
  return { width, height, bidFieldsJson: fields.slice(1, -1) };
}

function markup(banner: Banner): string {
  const { width, height } = banner;
  const box = `box-sizing:border-box;width:${width}px;height:${height}px;padding:8px`;
  const look = `background:#14324a;color:#fff;font:600 15px/1.25 sans-serif`;
  const layout = `display:flex;flex-direction:column;justify-content:center;overflow:hidden`;
  return (
    `<a href="${escapeHtml(banner.landingPage)}" target="_blank" rel="noopener" ` +
    `style="${box};${look};${layout};text-decoration:none">` +
    `<span>${escapeHtml(banner.headline)}</span>` +
    `<small style="font-weight:400;opacity:.8">${escapeHtml(banner.advertiserDomain)}</small></a>`
  );
}

function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"'$]/g, (found) => replacements[found] ?? "");
}

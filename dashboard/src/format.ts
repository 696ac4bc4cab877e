/** Numbers, money and times as people read them. Null is a dash, never a made-up number. */

export const DASH = "–";

type Amount = string | number | null | undefined;

const formats = new Map<string, Intl.NumberFormat>();

function format(key: string, options: Intl.NumberFormatOptions): Intl.NumberFormat {
  let found = formats.get(key);
  if (!found) formats.set(key, (found = new Intl.NumberFormat("en", options)));
  return found;
}

/** A number out of the API: decimals come as strings. NaN where there is none. */
export const number = (value: Amount): number =>
  value === null || value === undefined || value === "" ? NaN : Number(value);

/** Any value of a JSON document as text; "" where there is none. */
export function plain(value: unknown): string {
  if (value === null || value === undefined) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** With `digits` decimals. */
export function decimal(value: Amount, digits = 2): string {
  const known = number(value);
  if (!Number.isFinite(known)) return DASH;
  return format(`d${digits}`, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(known);
}

/** With `digits` significant digits, for small amounts like a value per impression. */
export function significant(value: Amount, digits = 3): string {
  const known = number(value);
  if (!Number.isFinite(known)) return DASH;
  return format(`s${digits}`, { maximumSignificantDigits: digits }).format(known);
}

export function count(value: Amount): string {
  const known = number(value);
  return Number.isFinite(known) ? format("n", { maximumFractionDigits: 0 }).format(known) : DASH;
}

/** `0.5` is `50 %`. */
export function percent(value: number | null | undefined, digits = 0): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return DASH;
  return `${decimal(value * 100, digits)} %`;
}

/** A chance, never rounded to a certainty. */
export function chance(value: number | null): string {
  if (value === null) return DASH;
  return value > 0.99 ? "over 99 %" : value < 0.01 ? "under 1 %" : percent(value);
}

/** An amount with its currency, e.g. `1,234.50 USD`. */
export function money(value: Amount, currency: string): string {
  const known = number(value);
  return Number.isFinite(known)
    ? `${decimal(known, known !== 0 && Math.abs(known) < 1 ? 4 : 2)} ${currency}`
    : DASH;
}

/** Short, for axes: `1.2k`. */
export function compact(value: number): string {
  return format("c", { notation: "compact", maximumFractionDigits: 2 }).format(value).toLowerCase();
}

const SPANS: [number, string][] = [
  [86_400, "d"],
  [3_600, "h"],
  [60, "min"],
  [1, "s"],
];

/** How long ago, to one unit: `42 s`, `3 min`. */
export function span(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  for (const [length, unit] of SPANS) if (whole >= length) return `${Math.floor(whole / length)} ${unit}`;
  return "0 s";
}

const clocks = new Map<string, Intl.DateTimeFormat>();

function clock(
  key: string,
  timeZone: string | undefined,
  options: Intl.DateTimeFormatOptions,
): Intl.DateTimeFormat {
  const name = `${key}|${timeZone ?? ""}`;
  let found = clocks.get(name);
  if (!found) {
    found = new Intl.DateTimeFormat("en-GB", { ...options, ...(timeZone && { timeZone }) });
    clocks.set(name, found);
  }
  return found;
}

/** `20 Nov 2026, 09:15`, in `timeZone` or the reader's own. */
export function moment(at: string | number | null | undefined, timeZone?: string): string {
  if (at === null || at === undefined) return DASH;
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return DASH;
  return clock("m", timeZone, { dateStyle: "medium", timeStyle: "short" }).format(date);
}

/** `09:15`. */
export function time(at: string | number, timeZone?: string, seconds = false): string {
  const style = seconds ? "medium" : "short";
  return clock(`t${style}`, timeZone, { timeStyle: style }).format(new Date(at));
}

/** The day of a moment in a time zone, `2026-11-20`. */
export function localDay(at: string | number, timeZone: string): string {
  const parts = clock("iso", timeZone, { year: "numeric", month: "2-digit", day: "2-digit" });
  const [date = "", month = "", year = ""] = parts.format(new Date(at)).split("/");
  return `${year}-${month}-${date}`;
}

/** `2026-11-20` as `Fri 20 Nov`. A day has no time zone: it is read as it is written. */
export function day(text: string): string {
  return clock("day", "UTC", { weekday: "short", day: "numeric", month: "short" })
    .format(new Date(`${text}T00:00:00Z`))
    .replace(",", "");
}

/** `2026-11-20` as `20 Nov`. */
export function shortDay(text: string): string {
  return clock("short", "UTC", { day: "numeric", month: "short" }).format(new Date(`${text}T00:00:00Z`));
}

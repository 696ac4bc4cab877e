/** Small signs, each of its own shape, so that no meaning hangs on a colour alone. */
import type { Tone } from "../words";

const PATHS = {
  good: "M8 1.5a6.5 6.5 0 100 13 6.5 6.5 0 000-13zM5 8.2l2.2 2.2L11.2 6",
  warn: "M8 2L15 14H1zM8 6.5v3.4M8 11.6v.6",
  bad: "M5.2 1.5h5.6l3.7 3.7v5.6l-3.7 3.7H5.2l-3.7-3.7V5.2zM5.7 5.7l4.6 4.6M10.3 5.7l-4.6 4.6",
  info: "M8 1.5a6.5 6.5 0 100 13 6.5 6.5 0 000-13zM8 4.2V8l2.6 1.8",
  quiet: "M8 1.5a6.5 6.5 0 100 13 6.5 6.5 0 000-13zM5.4 8h5.2",
  close: "M4 4l8 8M12 4l-8 8",
  more: "M6 3.5L10.5 8 6 12.5",
  add: "M8 3v10M3 8h10",
  sort: "M8 3v10M4.5 9.5L8 13l3.5-3.5",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, className = "" }: { name: IconName; className?: string }) {
  return (
    <svg className={`icon ${className}`} viewBox="0 0 16 16" width={14} height={14} aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}

/** A sign and words in a tone. */
export function Badge({ tone, children }: { tone: Tone; children: string }) {
  return (
    <span className={`badge ${tone}`}>
      <Icon name={tone} />
      {children}
    </span>
  );
}

import { describe, expect, it } from "vitest";
import type { History } from "../src/api/types";
import { localDay } from "../src/format";
import { changesByDay } from "../src/views/brand/HistoryCharts";

const change = (at: string, actor: string, kind = "brand"): History["changes"][number] => ({
  at,
  actor,
  kind,
  action: "replace",
  changed: { target_roas: ["2", "3"] },
});

describe("the days of changes", () => {
  it("are the brand's own", () => {
    expect(localDay("2026-11-21T03:30:00+00:00", "America/New_York")).toBe("2026-11-20");
    expect(localDay("2026-11-21T03:30:00+00:00", "Asia/Tokyo")).toBe("2026-11-21");
  });

  it("carry each change in words, and leave out what is not shown", () => {
    const days = ["2026-11-19", "2026-11-20", "2026-11-21"].map((day) => ({ day })) as History["days"];
    const found = changesByDay({
      timezone: "America/New_York",
      days,
      changes: [
        change("2026-11-21T03:30:00+00:00", "mara"),
        change("2026-11-20T16:00:00+00:00", "", "strategy"),
        change("2026-10-01T00:00:00+00:00", "jo"),
      ],
    } as History);
    expect([...found]).toEqual([[1, ["brand changed by mara", "strategy changed"]]]);
  });
});

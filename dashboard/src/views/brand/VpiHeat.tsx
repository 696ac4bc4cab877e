/** What an impression brought, by hour and day in the brand's own time zone. */
import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { vpiByHour } from "../../api/queries";
import type { Vpi } from "../../api/types";
import { HeatMap, Shades } from "../../charts/HeatMap";
import { day, significant } from "../../format";
import { Figure } from "../../pieces/Figure";
import { Empty, Reading } from "../../pieces/Reading";
import { heat, hours } from "./heat";

const TITLE = "Value per impression by hour";

interface Props {
  brandId: string;
  timezone: string;
  currency: string;
  days: number;
}

export function VpiHeat({ brandId, timezone, currency, days }: Props) {
  const reading = useQuery(vpiByHour(brandId, timezone, days));
  return (
    <Reading query={reading} what="value per impression" title={TITLE}>
      {(data) => <Heat vpi={data} currency={currency} days={days} />}
    </Reading>
  );
}

function Heat({ vpi, currency, days }: { vpi: Vpi; currency: string; days: number }) {
  const { rows, cells, low, high } = useMemo(
    () => heat(vpi.points, currency, days),
    [vpi.points, currency, days],
  );
  return (
    <Figure
      wide
      title={TITLE}
      legend={
        <>
          <Shades low={significant(low)} high={`${significant(high)} ${currency}`} />
          <span className="quiet">{vpi.timezone}</span>
        </>
      }
      table={() => ({
        head: ["Hour and what an impression brought"],
        rows: cells.map((cell) => [cell.words]),
      })}
    >
      {cells.length === 0 ? (
        <Empty>
          <p>Nothing was reported in these {days} days.</p>
        </Empty>
      ) : (
        <HeatMap
          label={`${TITLE}, ${rows.length} days, ${vpi.timezone}`}
          columns={hours}
          rows={rows.map(day)}
          cells={cells}
          words={(column, row) => `${day(rows[row] ?? "")}, ${hours[column] ?? ""} h · nothing was reported`}
          rest={`Between ${significant(low)} and ${significant(high)} ${currency} per impression`}
        />
      )}
    </Figure>
  );
}

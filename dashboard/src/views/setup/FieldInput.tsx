/** One field: its input, the server's rule for it, and the server's word on what was entered. */
import { useId } from "react";
import type { FieldError } from "../../api/client";
import { capital } from "../../pieces/Reading";
import { ruleOf, ruleWords, type AnyKind, type Field } from "./kinds";

interface Props {
  kind: AnyKind;
  field: Field;
  value: string;
  fault?: FieldError | undefined;
  /** Entered, not saved. */
  touched?: boolean;
  onChange: (value: string) => void;
}

const CURRENCIES = ["USD", "EUR", "GBP", "CHF", "SEK", "NOK", "DKK", "PLN", "JPY", "AUD", "CAD"];

export function FieldInput({ kind, field, value, fault, touched = false, onChange }: Props) {
  const id = useId();
  const rule = ruleOf(kind.kind, field.name);
  const api = rule.words && !rule.words.startsWith("null ") ? rule.words : "";
  const words = [field.help, field.help ? "" : capital(api), capital(ruleWords(rule))]
    .filter(Boolean)
    .join(" · ");
  const common = {
    id,
    value,
    required: rule.required,
    "aria-invalid": fault !== undefined,
    "aria-describedby": `${id}-rule${fault ? ` ${id}-fault` : ""}`,
  };
  return (
    <div className={touched ? "field touched" : "field"}>
      <label htmlFor={id}>
        {field.label}
        {!rule.required && !rule.options && <span className="quiet"> (optional)</span>}
        {touched && <span className="hidden"> (changed)</span>}
      </label>
      {rule.options ? (
        <select {...common} onChange={(event) => onChange(event.target.value)}>
          {rule.options.map((option) => (
            <option key={option}>{option}</option>
          ))}
        </select>
      ) : (
        <input
          {...common}
          list={listOf(field, id)}
          inputMode={field.input === "decimal" ? "decimal" : field.input === "whole" ? "numeric" : undefined}
          autoComplete="off"
          spellCheck={field.name === "name"}
          onChange={(event) => onChange(event.target.value)}
        />
      )}
      {field.input === "currency" && <Options id={id} values={CURRENCIES} />}
      {field.input === "timezone" && (
        <Options id={id} values={["UTC", ...Intl.supportedValuesOf("timeZone")]} />
      )}
      <p className="rule-words" id={`${id}-rule`}>
        {words}
      </p>
      {fault && (
        <p className="fault" id={`${id}-fault`}>
          {capital(fault.message)}
        </p>
      )}
    </div>
  );
}

function listOf(field: Field, id: string): string | undefined {
  if (field.input === "strategy" || field.input === "partner") return `choices-${field.input}`;
  return field.input === "currency" || field.input === "timezone" ? `${id}-list` : undefined;
}

function Options({ id, values }: { id: string; values: readonly string[] }) {
  return (
    <datalist id={`${id}-list`}>
      {values.map((value) => (
        <option key={value} value={value} />
      ))}
    </datalist>
  );
}

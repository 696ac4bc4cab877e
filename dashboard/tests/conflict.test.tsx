import { render, screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, it, vi } from "vitest";
import { Conflict } from "../src/views/setup/Conflict";
import { KINDS } from "../src/views/setup/kinds";
import { draftOf } from "../src/views/setup/values";

const base = { ...draftOf(KINDS.strategies), name: "growth", vpi_multiplier: "1.2", priority: "10" };

function shown(theirs: typeof base | null, mine: typeof base) {
  const done = { onSave: vi.fn(), onTake: vi.fn(), onClose: vi.fn() };
  render(<Conflict kind={KINDS.strategies} base={base} mine={mine} theirs={theirs} busy={false} {...done} />);
  return done;
}

it("saves both changes where they don't meet", async () => {
  const { onSave } = shown({ ...base, priority: "20" }, { ...base, vpi_multiplier: "1.5" });
  await userEvent.click(screen.getByRole("button", { name: "Save both" }));
  expect(onSave).toHaveBeenCalledWith({ ...base, priority: "20", vpi_multiplier: "1.5" });
});

it("shows both versions and asks which one holds where they meet", async () => {
  const theirs = { ...base, vpi_multiplier: "0.9", priority: "20" };
  const { onSave } = shown(theirs, { ...base, vpi_multiplier: "1.5" });
  const row = screen.getByRole("row", { name: /Multiplier/ });
  expect(
    within(row)
      .getAllByRole("cell")
      .map((cell) => cell.textContent.trim()),
  ).toEqual(["1.2", "0.9", "1.5"]);
  expect(screen.getByRole("button", { name: "Choose 1 more" })).toHaveProperty("disabled", true);
  await userEvent.click(within(row).getByLabelText("1.5"));
  await userEvent.click(screen.getByRole("button", { name: "Save both" }));
  expect(onSave).toHaveBeenCalledWith({ ...base, vpi_multiplier: "1.5", priority: "20" });
});

it("keeps my entries when the object was deleted", async () => {
  const { onClose } = shown(null, { ...base, priority: "99" });
  await userEvent.click(screen.getByRole("button", { name: "Back to my entries" }));
  expect(onClose).toHaveBeenCalled();
});

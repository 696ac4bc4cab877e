/** Light, dark, or as the system has it. */
import { useState } from "react";

export type Theme = "system" | "light" | "dark";

const KEY = "adbid.theme";
const NEXT: Record<Theme, Theme> = { system: "light", light: "dark", dark: "system" };

function stored(): Theme {
  try {
    const value = localStorage.getItem(KEY);
    return value === "light" || value === "dark" ? value : "system";
  } catch {
    return "system";
  }
}

/** Before the first paint, so that nothing flashes. */
export function applyTheme(theme: Theme = stored()): void {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

export function useTheme(): [Theme, () => void] {
  const [theme, setTheme] = useState(stored);
  const next = (): void => {
    const chosen = NEXT[theme];
    try {
      localStorage.setItem(KEY, chosen);
    } catch {
      // it then lasts as long as the page
    }
    applyTheme(chosen);
    setTheme(chosen);
  };
  return [theme, next];
}

import { createRoot } from "react-dom/client";
import { StrictMode } from "react";
import { App } from "./app/App";
import { takeTokenFromAddress } from "./app/session";
import { applyTheme } from "./app/theme";
import "./styles/base.css";
import "./styles/shell.css";
import "./styles/charts.css";
import "./styles/views.css";

takeTokenFromAddress();
applyTheme();
addEventListener("hashchange", takeTokenFromAddress);

const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <App />
    </StrictMode>,
  );
}

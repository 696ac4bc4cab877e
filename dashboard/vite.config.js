import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

export default defineConfig({
  base: "./", // the same files serve from any folder of any host
  plugins: [react()],
  build: {
    target: "es2022",
    assetsInlineLimit: 0, // the Content-Security-Policy allows no data: addresses
    modulePreload: { polyfill: false }, // it would be an inline script
    reportCompressedSize: false, // scripts/size.mjs does, and holds it to a limit
    rolldownOptions: { output: { codeSplitting: false } },
  },
  server: {
    host: "127.0.0.1",
    proxy: Object.fromEntries(
      ["/api", "/healthz", "/docs", "/openapi.json"].map((path) => [path, "http://127.0.0.1:8000"]),
    ),
  },
  test: {
    environment: "jsdom",
    include: ["tests/**/*.test.{ts,tsx}"],
    setupFiles: ["tests/setup.ts"],
    restoreMocks: true,
    // One browser for all files: making it anew takes longer than the tests.
    pool: "threads",
    isolate: false,
  },
});

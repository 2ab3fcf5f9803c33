import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

const STATIC = "../edge_api/static";
const TEXT = /\.(js|css|svg)$/;

/** A compressed neighbour for each text: the API hands out what the browser takes. */
const compressed = {
  name: "compressed",
  closeBundle() {
    for (const name of readdirSync(STATIC, { recursive: true, encoding: "utf8" })) {
      if (!TEXT.test(name)) continue;
      const bytes = readFileSync(join(STATIC, name));
      writeFileSync(join(STATIC, `${name}.gz`), gzipSync(bytes, { level: 9 }));
      writeFileSync(join(STATIC, `${name}.br`), brotliCompressSync(bytes));
    }
  },
};

export default defineConfig({
  plugins: [svelte(), compressed],
  html: { cspNonce: "NONCE" }, // edge_api/page.py writes a new one into each answer
  build: { outDir: STATIC, emptyOutDir: true, target: "es2023", modulePreload: { polyfill: false }, assetsInlineLimit: 0 },
});

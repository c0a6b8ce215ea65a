// Bundles the page's code with Observable Plot into one file, and gathers the licences of what is in it:
//
//   npm ci --ignore-scripts && npm run build
//
// The result is committed and ships with the package, so that `sparseplan explore` needs no node.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const built = join(here, "..", "built");

const sources = readdirSync(join(here, "src"), { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath, entry.name));
const hash = createHash("sha256");
for (const path of [...sources, join(here, "package-lock.json")].sort()) {
  hash.update(`${relative(here, path)}\n`).update(readFileSync(path));
}

const { metafile } = await build({
  absWorkingDir: here,
  entryPoints: ["src/page/main.js"],
  outfile: join(built, "explore.js"),
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2022",
  legalComments: "none",
  metafile: true,
  banner: { js: `/* sources ${hash.digest("hex")} */` },
});

const manifest = (name) => JSON.parse(readFileSync(join(here, "node_modules", name, "package.json"), "utf-8"));

// Packages whose files are in the bundle, and what D3's modules carry of others inside their own files.
const packages = new Set(
  Object.values(metafile.outputs)
    .flatMap((output) => Object.keys(output.inputs))
    .map((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1])
    .filter(Boolean),
);
for (const name of packages) {
  if (name.startsWith("@observablehq/")) continue; // its files are taken one by one
  for (const inside of Object.keys(manifest(name).dependencies ?? {})) packages.add(inside);
}
const licences = [...packages].sort().map((name) => {
  const folder = join(here, "node_modules", name);
  const { version, license } = manifest(name);
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  const text = file ? readFileSync(join(folder, file), "utf-8").trim() : `Licence: ${license}`;
  return `${name} ${version} (${license})\n\n${text}\n`;
});
writeFileSync(join(built, "LICENSES.txt"), licences.join(`\n${"-".repeat(72)}\n\n`));

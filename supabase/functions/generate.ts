// deno-lint-ignore-file no-import-prefix -- stands alone, outside the function's deno.json
// Writes _shared/contract.ts (types for frontends and the function) and _shared/openapi.ts (the contract itself, as the
// function serves and checks it) from edge_api/openapi.yaml:
//   deno run -A supabase/functions/generate.ts [folder]
import openapiTS, { astToString } from "npm:openapi-typescript@7.13.0";
import "npm:typescript@5.9.3"; // openapi-typescript prints with whichever 5 there is: another one may print otherwise
import { parse } from "npm:yaml@2.9.1";

const source = new URL("../../edge_api/openapi.yaml", import.meta.url);
const folder = Deno.args[0] ?? new URL("_shared", import.meta.url).pathname;
const note =
  "// Made from edge_api/openapi.yaml by supabase/functions/generate.ts: change that, not this.\n// deno-fmt-ignore-file\n";

const contract = parse(await Deno.readTextFile(source));
const types = astToString(await openapiTS(contract, { defaultNonNullable: false }));
await Deno.writeTextFile(`${folder}/contract.ts`, note + types);
await Deno.writeTextFile(`${folder}/openapi.ts`, `${note}export default ${JSON.stringify(contract, null, 1)};\n`);

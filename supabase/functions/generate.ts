// deno-lint-ignore-file no-import-prefix -- stands alone, outside the function's deno.json
// Writes _shared/contract.ts (the types of bodies and answers, for frontends and the function) and _shared/openapi.ts (the
// contract itself, as the function serves it and checks by it) from edge_api/openapi.yaml, each on one line:
//   deno run -A supabase/functions/generate.ts [folder]
import openapiTS, { astToString } from "npm:openapi-typescript@7.13.0";
import "npm:typescript@5.9.3"; // openapi-typescript prints with whichever 5 there is: another one may print otherwise
import { parse } from "npm:yaml@2.9.1";

const source = new URL("../../edge_api/openapi.yaml", import.meta.url);
const folder = Deno.args[0] ?? new URL("_shared", import.meta.url).pathname;
const note =
  "// Made from edge_api/openapi.yaml by supabase/functions/generate.ts: change that, not this.\n// deno-fmt-ignore-file\n";

const contract = parse(await Deno.readTextFile(source));
const { openapi, info, components: { schemas } } = contract;
const types = await openapiTS({ openapi, info, paths: {}, components: { schemas } }, { defaultNonNullable: false });
const line = astToString(types).replace(/\n *\* /g, " ").replace(/\s+/g, " ");
await Deno.writeTextFile(`${folder}/contract.ts`, `${note}${line}\n`);
await Deno.writeTextFile(`${folder}/openapi.ts`, `${note}export default ${JSON.stringify(contract)};\n`);

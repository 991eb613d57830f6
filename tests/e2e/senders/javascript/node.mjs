// In Node: `shop` sends a little of everything and prints it as OTLP/JSON; `one SIGNAL` sends one record and says how
// that went. OTEL_EXPORTER_OTLP_ENDPOINT says where to.

import { Sdk } from "./sdk.mjs";

const [what, signal] = process.argv.slice(2);
const sdk = new Sdk();
if (what === "shop") {
  await sdk.runShop();
  console.log(JSON.stringify(sdk.sent));
} else {
  const started = performance.now();
  const error = await sdk.sendOne(signal).then(() => null, String);
  console.log(JSON.stringify({ error, seconds: (performance.now() - started) / 1000 }));
}

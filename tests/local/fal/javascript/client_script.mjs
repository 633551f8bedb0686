// Drives fal's own JavaScript client against the emulator that the first argument names, and prints what came of it.
import { createRequire } from "node:module";

const [url, installed, ...endpoints] = process.argv.slice(2);
const { createFalClient } = createRequire(installed)("@fal-ai/client");
const fal = createFalClient({ credentials: "id:secret", proxyUrl: { url, when: "always" } });
const states = [];

async function tryEndpoint(endpoint, input) {
  const { request_id } = await fal.queue.submit(endpoint, { input });
  const subscribed = await fal.subscribe(endpoint, {
    input,
    pollInterval: 20,
    onQueueUpdate: ({ status }) => states.push(status),
  });
  let status = await fal.queue.status(endpoint, { requestId: request_id, logs: true });
  while (status.status !== "COMPLETED") {
    status = await fal.queue.status(endpoint, { requestId: request_id, logs: true });
  }
  const result = await fal.queue.result(endpoint, { requestId: request_id });
  const ran = await fal.run(endpoint, { input });
  const other = await fal.queue.submit(endpoint, { input });
  await fal.queue.cancel(endpoint, { requestId: other.request_id });
  let afterCancel = 0;
  try {
    await fal.queue.result(endpoint, { requestId: other.request_id });
  } catch (error) {
    afterCancel = error.status;
  }
  return { status: status.status, subscribed: subscribed.data, result: result.data, ran: ran.data, afterCancel };
}

async function upload(bytes, name) {
  const content = new Uint8Array(bytes).map((_, at) => at % 251);
  const url = await fal.storage.upload(new File([content], name, { type: "image/png" }));
  const held = new Uint8Array(await (await fetch(url)).arrayBuffer());
  return { url, same: held.length === content.length && held.every((byte, at) => byte === content[at]) };
}

const image = await fal.storage.upload(new File([await readInput()], "photo.webp", { type: "image/webp" }));
const inputs = {
  one: { prompt: "a", image_url: image },
  several: { prompt: "a", image_urls: [image, image] },
  none: { prompt: "a" },
};
const tried = {};
for (const endpoint of endpoints) {
  const kind = endpoint.endsWith("multi") ? "several" : endpoint.endsWith("text-to-image") ? "none" : "one";
  tried[endpoint] = await tryEndpoint(endpoint, inputs[kind]);
}
const small = await upload(1000, "größe 1.png");
const large = await upload(100 * 1024 * 1024, "large.png");
console.log(JSON.stringify({ states: [...new Set(states)], tried, small, large }));

async function readInput() {
  const pieces = [];
  for await (const piece of process.stdin) pieces.push(piece);
  return Buffer.concat(pieces);
}

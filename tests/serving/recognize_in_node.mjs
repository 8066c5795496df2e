// Runs the page's recognize.js and pixels.js in Node: `node recognize_in_node.mjs PAGE_FOLDER WORK_FOLDER`.
// In the work folder: jobs.json, the pixels that it names and, where whole images are asked about, the networks.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { gunzipSync } from "node:zlib";

const [page, work] = process.argv.slice(2);
const load = (name) => import(pathToFileURL(join(page, name)));
const read = (name) => new Uint8Array(readFileSync(join(work, name)));
const jobs = JSON.parse(readFileSync(join(work, "jobs.json")));
const its = { ...(await load("recognize.js")), ...(await load("pixels.js")) };

let engine, about;
if (jobs.some((job) => job.what === "recognize")) {
  const ort = await load("ort/ort.wasm.min.mjs");
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = { mjs: pathToFileURL(join(page, "ort/ort-wasm-simd-threaded.mjs")).href };
  ort.env.wasm.wasmBinary = gunzipSync(readFileSync(join(page, "ort/ort-wasm-simd-threaded.wasm.gz"))).buffer;
  about = JSON.parse(readFileSync(join(work, "model.json")));
  engine = { ort };
  for (const name of its.networksOf(about)) engine[name] = await ort.InferenceSession.create(read(`${name}.onnx`));
}
const results = [];
for (const [number, job] of jobs.entries()) {
  const image = { ...job, data: read(job.file) };
  if (job.what === "recognize") {
    const began = performance.now();
    results.push({ faces: await its.recognize(image, about, engine, job.options ?? {}), ms: performance.now() - began });
    continue;
  }
  const made = {
    resize: () => its.resize(image, ...job.to, job.filter),
    luma: () => its.luma(image),
    white: () => its.onWhite(image),
    prepare: () => ({ data: its.prepare(image, job.face, job.spec) }),
  }[job.what]();
  writeFileSync(join(work, `${number}.out`), made.data);
}
writeFileSync(join(work, "results.json"), JSON.stringify(results));

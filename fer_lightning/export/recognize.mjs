// Facial expressions from the files in this folder, in Node: npm install sharp && node recognize.mjs photo.jpg
//
// sharp decodes; ort/ runs the networks; recognize.js, which the page uses too, does the rest. One line of JSON an image.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import * as ort from "./ort/ort.wasm.min.mjs";
import { networksOf, recognize } from "./recognize.js";

const here = (name) => new URL(name, import.meta.url);
const read = (name) => readFileSync(here(name));

ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = { mjs: here("ort/ort-wasm-simd-threaded.mjs").href };
ort.env.wasm.wasmBinary = new Uint8Array(read("ort/ort-wasm-simd-threaded.wasm")).buffer;

const about = JSON.parse(read("model.json"));
const engine = { ort };
for (const name of networksOf(about)) engine[name] = await ort.InferenceSession.create(new Uint8Array(read(`${name}.onnx`)));

// The answers for an image file: see `recognize`.
export async function answers(path) {
  const { data, info } = await sharp(path).rotate().flatten({ background: "#fff" }).toColourspace("srgb").removeAlpha()
    .raw().toBuffer({ resolveWithObject: true });
  return recognize({ data, width: info.width, height: info.height, channels: info.channels }, about, engine, {});
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const path of process.argv.slice(2)) {
    try {
      console.log(JSON.stringify({ image: path, faces: await answers(path), error: "" }));
    } catch (error) {
      console.log(JSON.stringify({ image: path, faces: [], error: error.message }));
      process.exitCode = 1;
    }
  }
}

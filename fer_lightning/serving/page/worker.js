// Looks at pictures in a thread of its own, so that the page stays awake: the networks run here (WebAssembly).
// Takes { id, open: token } once, then { id, picture, whole, least }; says { loading } and answers { id, answer or error }.
import * as ort from "./ort/ort.wasm.min.mjs";
import { networksOf, recognize } from "./recognize.js";

const STRIP = 256; // rows of a picture that are read at once: a canvas may be smaller than a large photograph
let about, engine;

async function fetched(name, headers) {
  const response = await fetch(name, { headers });
  if (!response.ok) throw new Error(`${name} could not be fetched (status ${response.status}).`);
  return response;
}

// The files' bytes, fetched side by side; says how much is there about once a second.
async function load(names, headers) {
  const got = new Map(), sizes = new Map();
  let said = -1000;
  const tell = () => {
    if (sizes.size < names.length || performance.now() < said + 1000) return; // whoever listens cannot follow more
    said = performance.now();
    const sum = (all) => [...all.values()].reduce((one, other) => one + other, 0);
    postMessage({ loading: { megabytes: sum(sizes) / 1e6, done: sum(got) / Math.max(1, sum(sizes)) } });
  };
  return Promise.all(names.map(async (name) => {
    const response = await fetched(name, headers);
    sizes.set(name, Number(response.headers.get("content-length")));
    const parts = [];
    let length = 0;
    for (const reader = response.body.getReader(); ;) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
      length += value.length;
      got.set(name, Math.min(length, sizes.get(name))); // what was compressed on its way is longer than what came
      tell();
    }
    return new Uint8Array(await new Blob(parts).arrayBuffer());
  }));
}

async function open(token) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  about = await (await fetched("model.json", headers)).json();
  const names = networksOf(about);
  const [wasm, ...networks] = await load(["ort/ort-wasm-simd-threaded.wasm", ...names.map((name) => `${name}.onnx`)], headers);
  ort.env.wasm.wasmPaths = { mjs: new URL("ort/ort-wasm-simd-threaded.mjs", import.meta.url).href };
  ort.env.wasm.wasmBinary = wasm.buffer;
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency) : 1;
  ort.env.logLevel = "error";
  const made = { ort };
  for (const [number, name] of names.entries()) made[name] = await ort.InferenceSession.create(networks[number]);
  engine = made;
}

// The pixels of a file or bitmap, as they are in it: upright, without a change of colors.
async function pixels(picture) {
  const how = { imageOrientation: "from-image", premultiplyAlpha: "none", colorSpaceConversion: "none" };
  const bitmap = picture instanceof Blob ? await createImageBitmap(picture, how) : picture;
  const { width, height } = bitmap, data = new Uint8Array(width * height * 4);
  const canvas = new OffscreenCanvas(width, Math.min(STRIP, height));
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  for (let top = 0; top < height; top += STRIP) {
    const rows = Math.min(STRIP, height - top);
    pen.clearRect(0, 0, width, STRIP);
    pen.drawImage(bitmap, 0, -top);
    data.set(pen.getImageData(0, 0, width, rows).data, top * width * 4);
  }
  bitmap.close();
  return { data, width, height, channels: 4 };
}

async function look({ picture, whole, least }) {
  let image;
  try {
    image = await pixels(picture);
  } catch {
    const error = { code: "unreadable", message: "The image cannot be read: it is not an image that this browser can decode." };
    return { index: 0, outcome: "error", width: null, height: null, faces: [], error };
  }
  const faces = await recognize(image, about, engine, { whole, least });
  return { index: 0, outcome: faces.length ? "faces" : "no_face", width: image.width, height: image.height, faces, error: null };
}

let before = Promise.resolve(); // one after the other: a session answers one question at a time
self.onmessage = ({ data }) => {
  before = before.then(async () => {
    try {
      postMessage({ id: data.id, answer: "open" in data ? await open(data.open) : await look(data) });
    } catch (error) {
      postMessage({ id: data.id, error: String(error.message ?? error) });
    }
  });
};

// Pictures are looked at on this device: by a worker, with the model that this page brings.

let worker = null, opened = null, number = 0, progress = () => {};
const waiting = new Map();

function ask(content, transferred = []) {
  const id = number += 1;
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject });
    worker.postMessage({ id, ...content }, transferred);
  });
}

function end(message) {
  worker?.terminate();
  worker = opened = null;
  for (const { reject } of waiting.values()) reject(new Error(message));
  waiting.clear();
}

// Load the model, once; `told` hears that it begins, and then the megabytes and how much of them is here.
export function open(token, told) {
  if (opened) return opened;
  progress = told;
  told(null);
  worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  worker.onerror = () => end("This browser cannot run the model: it needs WebAssembly with SIMD and module workers.");
  worker.onmessage = ({ data }) => {
    if (data.loading) return progress(data.loading);
    const one = waiting.get(data.id);
    waiting.delete(data.id);
    if (data.error) one?.reject(new Error(data.error)); else one?.resolve(data.answer);
  };
  opened = ask({ open: token }).catch((error) => {
    end(error.message); // so that the next try begins anew
    throw new Error(`The model could not be loaded. ${error.message}`);
  });
  return opened;
}

// What the service would answer for a file or a canvas, an `ImageAnswer`.
export async function recognize(picture, { whole, least }) {
  await opened;
  const given = picture instanceof Blob ? picture : await createImageBitmap(picture);
  return ask({ picture: given, whole, least }, given instanceof Blob ? [] : [given]);
}

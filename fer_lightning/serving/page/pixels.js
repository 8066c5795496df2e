// Resizing, color and crops, bit for bit as Pillow makes them.
// An image is { data, width, height, channels }, its data a Uint8Array row by row.

// Python's round: a half goes to the even neighbor.
export function round(value) {
  const low = Math.floor(value), rest = value - low;
  return rest < 0.5 || (rest === 0.5 && low % 2 === 0) ? low : low + 1;
}

const FILTERS = { // how far a pixel reaches and how much it counts at a distance, as in Pillow's Resample.c
  bilinear: [1, (x) => (x < 1 ? 1 - x : 0)],
  bicubic: [2, (x) => (x < 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0)],
};
const BITS = 22; // behind the point, in Pillow's whole numbers for weights

function weights(from, to, filter) {
  const [reach, curve] = FILTERS[filter];
  const scale = from / to, stretch = Math.max(scale, 1), support = reach * stretch, nearer = 1 / stretch;
  const most = Math.ceil(support) * 2 + 1;
  const starts = new Int32Array(to), counts = new Int32Array(to), all = new Int32Array(to * most);
  for (let place = 0; place < to; place += 1) {
    const center = (place + 0.5) * scale;
    const start = Math.max(0, Math.trunc(center - support + 0.5));
    const count = Math.min(from, Math.trunc(center + support + 0.5)) - start;
    const exact = Array.from({ length: count }, (_, k) => curve(Math.abs((k + start - center + 0.5) * nearer)));
    const sum = exact.reduce((one, other) => one + other, 0);
    exact.forEach((value, k) => {
      const share = sum ? value / sum : value;
      all[place * most + k] = Math.trunc((share < 0 ? -0.5 : 0.5) + share * 2 ** BITS);
    });
    starts[place] = start;
    counts[place] = count;
  }
  return { most, starts, counts, all };
}

// Resample (outer, from, inner) to (outer, to, inner): rows with the channels as inner, columns with a row as inner.
function resample(data, outer, from, inner, to, filter) {
  const { most, starts, counts, all } = weights(from, to, filter);
  const made = new Uint8ClampedArray(outer * to * inner);
  for (let one = 0, at = 0; one < outer; one += 1) {
    for (let place = 0; place < to; place += 1) {
      const first = (one * from + starts[place]) * inner, weight = place * most, count = counts[place];
      for (let i = 0; i < inner; i += 1, at += 1) {
        let sum = 1 << (BITS - 1);
        for (let k = 0, read = first + i; k < count; k += 1, read += inner) sum += data[read] * all[weight + k];
        made[at] = sum >> BITS;
      }
    }
  }
  return new Uint8Array(made.buffer);
}

function nearest({ data, width, height, channels }, toWidth, toHeight) {
  const places = (from, to) => { // added up step by step, as Pillow does
    const step = from / to, found = [];
    for (let at = step * 0.5; found.length < to; at += step) found.push(Math.trunc(at));
    return found;
  };
  const columns = places(width, toWidth), made = new Uint8Array(toWidth * toHeight * channels);
  let at = 0;
  for (const row of places(height, toHeight)) {
    for (const column of columns) {
      for (let c = 0; c < channels; c += 1) made[at++] = row < height && column < width ? data[(row * width + column) * channels + c] : 0;
    }
  }
  return made;
}

// As PIL's Image.resize; filter is nearest, bilinear or bicubic. Which direction is first shows in the last bit: Pillow
// begins with the rows, and since version 13 with the columns where the height shrinks by more than twice as much.
export function resize(image, width, height, filter) {
  const { channels } = image;
  if (filter === "nearest") return { data: nearest(image, width, height), width, height, channels };
  let made = image;
  const rows = () => {
    if (width !== made.width) made = { ...made, width, data: resample(made.data, made.height, made.width, channels, width, filter) };
  };
  const columns = () => {
    if (height !== made.height) made = { ...made, height, data: resample(made.data, 1, made.height, made.width * channels, height, filter) };
  };
  const shrinks = image.height - height;
  for (const pass of shrinks > Math.max(0, 2 * (image.width - width)) ? [columns, rows] : [rows, columns]) pass();
  return made;
}

// Gray of RGB (ITU-R BT.601), as PIL's convert("L").
export function luma({ data, width, height }) {
  const made = new Uint8Array(width * height);
  for (let at = 0, read = 0; at < made.length; at += 1, read += 3) {
    made[at] = (data[read] * 19595 + data[read + 1] * 38470 + data[read + 2] * 7471 + 0x8000) >> 16;
  }
  return { data: made, width, height, channels: 1 };
}

// RGB of RGBA before a white wall, as PIL's alpha_composite.
export function onWhite({ data, width, height }) {
  const made = new Uint8Array(width * height * 3);
  for (let at = 0, read = 0; at < made.length; read += 4) {
    const alpha = data[read + 3];
    for (let c = 0; c < 3; c += 1, at += 1) {
      const sum = ((data[read + c] * alpha + 255 * (255 - alpha)) << 7) + 0x4000;
      made[at] = alpha === 255 ? data[read + c] : ((sum >> 8) + sum) >> 15;
    }
  }
  return { data: made, width, height, channels: 3 };
}

// A part of an image; what lies outside of it is black.
export function crop({ data, width, height, channels }, left, top, right, bottom) {
  const made = new Uint8Array((right - left) * (bottom - top) * channels);
  const begin = Math.max(left, 0), end = Math.min(right, width);
  for (let row = Math.max(top, 0); begin < end && row < Math.min(bottom, height); row += 1) {
    const part = data.subarray((row * width + begin) * channels, (row * width + end) * channels);
    made.set(part, ((row - top) * (right - left) + begin - left) * channels);
  }
  return { data: made, width: right - left, height: bottom - top, channels };
}

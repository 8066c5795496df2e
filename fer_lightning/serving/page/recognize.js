// Faces in pixels and what they show, as fer_lightning's Python sees them: pixels and boxes are equal bit for bit, the
// networks' answers up to the order in which they add up. Needs no page: for browsers, workers and Node.
// An image is as in pixels.js.
import { crop, luma, onWhite, resize, round } from "./pixels.js";

// Of the boxes for one face the most confident one; in the detector's 32 bits, so that Python decides alike.
function once(rows, same) {
  const f = Math.fround, kept = [];
  const area = (row) => f(row[3] * row[4]);
  const shared = (one, other) => [1, 2].map((at) => {
    const far = Math.min(f(one[at] + one[at + 2]), f(other[at] + other[at + 2]));
    return Math.max(0, f(far - Math.max(one[at], other[at])));
  }).reduce((width, height) => f(width * height));
  for (const row of [...rows].sort((one, other) => other[0] - one[0])) {
    const clash = kept.some((best) => {
      const both = shared(row, best);
      return both > f(f(same) * f(f(area(row) + area(best)) - both));
    });
    if (!clash) kept.push(row);
  }
  return kept;
}

// The faces in an RGB image, the largest first: left, top, width, height, score, landmarks.
export async function findFaces(image, rules, { ort, detector }) {
  const longest = Math.max(image.width, image.height);
  const scale = longest >= rules.shortest ? Math.min(rules.longest / longest, 1) : Math.min(rules.shortest / longest, rules.at_most);
  const sides = [image.width, image.height].map((side) => Math.max(1, round(side * scale)));
  const small = scale === 1 ? image : resize(image, ...sides, "bilinear");
  const width = Math.ceil(small.width / 32) * 32, height = Math.ceil(small.height / 32) * 32;
  const padded = crop(small, 0, 0, width, height);
  const { places } = await detector.run({ image: new ort.Tensor("uint8", padded.data, [height, width, 3]) });
  const rows = [];
  for (let at = 0; at < places.data.length; at += 15) {
    if (places.data[at] >= Math.fround(rules.sure)) rows.push(places.data.slice(at, at + 15));
  }
  const faces = once(rows, rules.same).map(([score, ...place]) => {
    const [left, top, wide, high, ...points] = place.map((value) => Math.trunc(value) / scale);
    const landmarks = [0, 2, 4, 6, 8].map((at) => [points[at], points[at + 1]]);
    return { left, top, width: wide, height: high, score: Math.trunc(score * 100) / 100, landmarks };
  });
  return faces.filter((face) => face.score >= rules.sure && face.width > 0 && face.height > 0)
    .sort((one, other) => other.width * other.height - one.width * one.height);
}

// Left, top, right and bottom of the square around a face, in whole pixels.
function square(face, margin, image) {
  const side = Math.min(Math.max(face.width, face.height) * (1 + margin), image.width, image.height);
  const left = Math.min(Math.max(face.left + face.width / 2 - side / 2, 0), image.width - side);
  const top = Math.min(Math.max(face.top + face.height / 2 - side / 2, 0), image.height - side);
  const [x, y, right, bottom] = [left, top, left + side, top + side].map(round);
  return [x, y, Math.max(right, x + 1), Math.max(bottom, y + 1)];
}

// A face, or the whole image, as the network takes it: RGB of its size, gray as three equal channels.
export function prepare(image, face, spec) {
  let made = face ? crop(image, ...square(face, spec.margin, image)) : image;
  if (spec.color === "gray") made = luma(made);
  made = resize(made, spec.image_size, spec.image_size, spec.interpolation);
  return made.channels === 3 ? made.data : Uint8Array.from({ length: 3 * made.data.length }, (_, at) => made.data[Math.floor(at / 3)]);
}

// ---- faces that are turned upright, their eyes, nose and mouth in their places

// The square around a box, `scale` times its longer side, where the image ends continued with its last pixels.
function around({ data, width, height }, face, scale, pixels) {
  const half = Math.max(round(Math.max(face.width, face.height) * scale / 2), 1), side = 2 * half;
  const left = round(face.left + face.width / 2) - half, top = round(face.top + face.height / 2) - half;
  const within = (place, sides) => Math.min(Math.max(place, 0), sides - 1);
  const part = new Uint8Array(side * side * 3);
  for (let row = 0, at = 0; row < side; row += 1) {
    const line = within(top + row, height) * width;
    for (let column = 0; column < side; column += 1) {
      const read = (line + within(left + column, width)) * 3;
      for (let c = 0; c < 3; c += 1, at += 1) part[at] = data[read + c];
    }
  }
  return resize({ data: part, width: side, height: side, channels: 3 }, pixels, pixels, "bicubic");
}

const mean = (points) => [0, 1].map((axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length);

// Shift and turn, as complex numbers: a place in a face, from its middle, comes closest to its point by shift + turn * place.
function fitted(points, places) {
  const middle = mean(places), center = mean(points), turn = [0, 0];
  let size = 0;
  places.forEach((place, number) => {
    const [x, y] = [place[0] - middle[0], place[1] - middle[1]], [u, v] = [points[number][0] - center[0], points[number][1] - center[1]];
    turn[0] += x * u + y * v;
    turn[1] += x * v - y * u;
    size += x * x + y * y;
  });
  turn[0] /= size;
  turn[1] /= size;
  return { shift: [center[0] - (turn[0] * middle[0] - turn[1] * middle[1]), center[1] - (turn[0] * middle[1] + turn[1] * middle[0])], turn };
}

// The face with its middle at `shift` and of side and direction `turn`, `wide` times it; between pixels bilinear.
function turned(image, { shift, turn }, side, wide) {
  const most = image.width - 1, made = new Uint8Array(side * side * 3), { data, width } = image;
  const steps = Array.from({ length: side }, (_, at) => ((at + 0.5) / side - 0.5) * wide);
  const within = (place) => Math.min(Math.max(place, 0), most);
  let at = 0;
  for (const down of steps) {
    for (const right of steps) {
      const left = within(shift[0] + (turn[0] * right - turn[1] * down) - 0.5), top = within(shift[1] + (turn[0] * down + turn[1] * right) - 0.5);
      const column = Math.floor(left), row = Math.floor(top), share = left - column, below = top - row;
      const next = Math.min(column + 1, most), lower = Math.min(row + 1, most) * width;
      for (let c = 0; c < 3; c += 1, at += 1) {
        const pixel = (line, place) => data[(line + place) * 3 + c];
        const above = pixel(row * width, column) * (1 - share) + pixel(row * width, next) * share;
        const under = pixel(lower, column) * (1 - share) + pixel(lower, next) * share;
        made[at] = Math.floor(above * (1 - below) + under * below + 0.5);
      }
    }
  }
  return { data: made, width: side, height: side, channels: 3 };
}

// A face as `prepare` takes it whole, or null where no landmarks are seen.
async function aligned(image, face, spec, how, { ort, landmarks }) {
  const seen = how.seen, wide = (1 + spec.margin) / (1 + how.usual);
  const places = how.places.map((place) => place.map((share) => share - 0.5));
  let pixels = around(image, face, how.around, seen);
  const answer = await landmarks.run({ image: new ort.Tensor("uint8", pixels.data, [seen, seen, 3]) });
  const [sure, ...found] = answer.landmarks.data;
  if (!(sure >= how.certain)) return null;
  const halved = (place) => Math.floor(2 * place + 0.5) / 2; // so that all runtimes turn a face alike
  let { shift, turn } = fitted(places.map((_, number) => [halved(found[2 * number]), halved(found[2 * number + 1])]), places);
  const wider = Math.max(wide, 1), larger = seen * Math.ceil(spec.image_size / 128);
  if (wider !== 1 || larger !== seen) {
    pixels = around(image, face, how.around * wider, larger);
    shift = shift.map((place) => ((place / seen - 0.5) / wider + 0.5) * larger);
    turn = turn.map((part) => part / seen / wider * larger);
  }
  return turned(pixels, { shift, turn }, 2 * spec.image_size, wide);
}

const AT_ONCE = 16; // faces in a batch: more would take much memory, and no less time

async function probabilities(inputs, side, { ort, model }) {
  const rows = [];
  for (let first = 0; first < inputs.length; first += AT_ONCE) {
    const some = inputs.slice(first, first + AT_ONCE), batch = new Uint8Array(some.length * side * side * 3);
    some.forEach((one, number) => batch.set(one, number * one.length));
    const found = (await model.run({ image: new ort.Tensor("uint8", batch, [some.length, side, side, 3]) })).probabilities;
    const [count, classes] = found.dims;
    for (let row = 0; row < count; row += 1) rows.push([...found.data.subarray(row * classes, (row + 1) * classes)]);
  }
  if (!rows.flat().every(Number.isFinite)) throw new Error("The model answers with numbers that are not finite.");
  return rows;
}

// Python's round(value, digits): toFixed takes a value in the very middle up, which Python takes to the even neighbor.
function short(value, digits) {
  const middle = Number.isInteger(value * 2 ** (digits + 1)); // then the product below is exact
  return middle ? round(value * 10 ** digits) / 10 ** digits : Number(value.toFixed(digits));
}

// The names of the networks that a model takes: NAME.onnx beside model.json.
export const networksOf = (about) => ["model", "detector", ...(about.alignment ? ["landmarks"] : [])];

// What the faces in an image show, as the service answers it.
//   image: of 3 channels, or of 4 the last of which is opacity
//   about: what model.json says
//   engine: the module of onnxruntime-web and its sessions with the networks, { ort, model, detector } and, where faces
//     are aligned, landmarks
//   whole: take the image as one face, whatever the model was trained with; least: below this, answers are uncertain
export async function recognize(image, about, engine, { whole = false, least = 0 } = {}) {
  const flat = image.channels === 4 ? onWhite(image) : image, spec = about.input;
  const faces = spec.faces === "detect" && !whole ? await findFaces(flat, about.detection, engine) : [null];
  const inputs = [];
  for (const face of faces) {
    const upright = face && about.alignment ? await aligned(flat, face, spec, about.alignment, engine) : null;
    inputs.push(upright ? prepare(upright, null, spec) : prepare(flat, face, spec));
  }
  const rows = await probabilities(inputs, spec.image_size, engine);
  return rows.map((row, number) => {
    const face = faces[number], confidence = Math.max(...row);
    const uncertain = confidence < Math.max(least, about.threshold ?? 0);
    const box = face && Object.fromEntries(["left", "top", "width", "height", "score"].map((name) => [name, short(face[name], 2)]));
    return {
      box,
      landmarks: face && face.landmarks.map((point) => point.map((value) => short(value, 2))),
      label: uncertain ? "uncertain" : about.classes[row.indexOf(confidence)],
      confidence: short(confidence, 6),
      uncertain,
      probabilities: Object.fromEntries(about.classes.map((name, place) => [name, short(row[place], 6)])),
    };
  });
}

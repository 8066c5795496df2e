// The page: pictures to the service or to the model on this device, answers beside them. Nothing is kept or loaded from
// elsewhere.
import { element, markdown } from "./card.js";
import * as device from "./local.js";
import * as service from "./service.js";

const at = (name) => document.getElementById(name);
const percent = (value) => `${(100 * value).toFixed(value < 0.1 ? 1 : 0)} %`;
const counted = (number, one, more = `${one}s`) => `${number} ${number === 1 ? one : more}`;
let place = "", models = {}, classes = [];

// ---- asking

// Load the model onto this device, unless it is there.
async function bring() {
  const tell = (of) => say(of ? `Loading the model, ${Math.round(of.megabytes)} MB … ${Math.floor(100 * of.done)} %` : "Loading the model …");
  await device.open(service.access.token, tell);
}

async function recognize(picture) {
  const options = { whole: at("whole").checked, least: Number(at("least").value) };
  try {
    if (place !== "device") return await service.recognize(picture, options);
    await bring();
    return await device.recognize(picture, options);
  } catch (error) {
    if (error.status === 401) at("token-form").hidden = false;
    throw error;
  }
}

// What there is: a service, a model for this device, or both.
async function about() {
  const asked = await Promise.allSettled([service.ask("v1/model"), service.ask("model.json")]);
  const [served, local] = asked.map((one) => (one.value?.classes ? one.value : null));
  models = { service: served, device: local };
  if (!served && !local) {
    at("token-form").hidden = asked[0].reason?.status !== 401;
    say(asked[0].reason?.message ?? "There is neither a service nor a model here.");
    return false;
  }
  at("token-form").hidden = true;
  at("place").hidden = !(served && local);
  at("docs").hidden = !served;
  const before = place || sessionStorage.getItem("place"); // a reload must not send what was to stay here
  choose(models[before] ? before : served ? "service" : "device");
  return true;
}

function choose(chosen) {
  place = chosen;
  const model = models[place], home = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
  document.querySelectorAll("[name=place]").forEach((one) => { one.checked = one.value === place; });
  at("where").replaceChildren(...(place === "device"
    ? ["Pictures stay ", element("b", {}, "on this device"), ": the model comes to them, and none is sent anywhere or kept."]
    : ["Pictures go to the service on ", element("b", {}, home ? "this machine" : location.host), " and nowhere else; it keeps none of them."]));
  at("model").textContent = model.name;
  at("version").textContent = model.version;
  at("must-not").replaceChildren(...markdown(model.must_not_be_used_for));
  at("card").replaceChildren(...markdown(model.card));
  classes = model.classes;
  at("legend").replaceChildren(...classes.map((name, number) => element("li", {}, patch(number), name)));
  if (place === "device") bring().then(() => say("The model is on this device."), (error) => say(error.message));
}

// ---- showing

const say = (text) => { at("status").textContent = text; };
const color = (number) => `hsl(${Math.round((360 * number) / Math.max(classes.length, 1) + 5)} 65% 52%)`;

function patch(number) {
  const space = "http" + "://www.w3.org/2000/svg"; // a name, not an address
  const svg = document.createElementNS(space, "svg");
  const square = document.createElementNS(space, "rect");
  svg.setAttribute("viewBox", "0 0 1 1");
  svg.setAttribute("aria-hidden", "true");
  square.setAttribute("width", "1");
  square.setAttribute("height", "1");
  square.setAttribute("fill", color(number));
  svg.append(square);
  return svg;
}

const best = (face) => Object.entries(face.probabilities).sort((one, two) => two[1] - one[1]);

function sentence(face, number, many) {
  const who = many > 1 ? `Face ${number + 1}: ` : "";
  const [name, value] = best(face)[0];
  return face.uncertain ? `${who}uncertain, most likely ${name} (${percent(value)})` : `${who}${face.label}, ${percent(face.confidence)}`;
}

function summary(answer) {
  if (answer.error) return answer.error.message;
  if (!answer.faces.length) return "No face was found.";
  return answer.faces.map((face, number) => sentence(face, number, answer.faces.length)).join("; ");
}

// Draw a picture, smaller if it is large, and the boxes of the faces in it.
function draw(canvas, picture, answer) {
  const width = answer.width ?? picture?.width, height = answer.height ?? picture?.height;
  const longest = Math.max(width, height), scale = Math.min(1600 / longest, Math.max(1, 480 / longest));
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const pen = canvas.getContext("2d");
  if (picture) pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
  const unit = canvas.width / (canvas.clientWidth || canvas.width), thick = 2 * unit, size = 14 * unit; // as on the screen
  pen.font = `600 ${size}px system-ui, sans-serif`;
  pen.textBaseline = "bottom";
  answer.faces.forEach((face, number) => {
    if (!face.box) return;
    const { left, top, width: wide, height: high } = face.box;
    const box = [left, top, wide, high].map((value) => value * scale);
    const text = answer.faces.length > 1 ? `${number + 1} ${face.label}` : face.label;
    pen.lineWidth = thick * 2;
    pen.strokeStyle = "#fff";
    pen.strokeRect(...box);
    pen.lineWidth = thick;
    pen.strokeStyle = face.uncertain ? "#6b7280" : "#0b5cad";
    pen.setLineDash(face.uncertain ? [4 * thick, 3 * thick] : []);
    pen.strokeRect(...box);
    pen.setLineDash([]);
    const room = pen.measureText(text).width + size * 0.6;
    const x = Math.max(0, Math.min(box[0], canvas.width - room)), y = Math.max(size * 1.3, box[1]);
    pen.fillStyle = pen.strokeStyle;
    pen.fillRect(x, y - size * 1.3, room, size * 1.3);
    pen.fillStyle = "#fff";
    pen.fillText(text, x + size * 0.3, y - size * 0.1);
  });
  canvas.setAttribute("aria-label", summary(answer));
}

function faces(answer) {
  if (answer.error) return [element("p", { className: "error" }, answer.error.message)];
  if (!answer.faces.length) return [element("p", {}, "No face was found. If the picture is one face, cut out already, say so above.")];
  return answer.faces.map((face, number) => {
    const [name, value] = best(face)[0];
    const said = face.uncertain ? `uncertain (most likely ${name}, ${percent(value)})` : `${face.label}, ${percent(face.confidence)}`;
    const bars = best(face).flatMap(([label, share]) => [
      element("dt", {}, label),
      element("dd", {}, element("meter", { min: 0, max: 1, value: share, "aria-hidden": "true" }), element("span", { className: "n" }, percent(share))),
    ]);
    return element("div", { className: face.uncertain ? "face unsure" : "face" },
      element("span", { className: "label" }, element("span", { className: "swatch" }, String(number + 1)), said),
      element("dl", { className: "bars" }, ...bars));
  });
}

async function picture(file) {
  try {
    return await createImageBitmap(file);
  } catch {
    return null; // the service may read what this browser cannot
  }
}

async function photograph(file) {
  const canvas = element("canvas", { role: "img" });
  const said = element("div", { className: "said" }, element("p", {}, "…"));
  const shown = element("article", { className: "answer" }, canvas, said);
  const title = element("h3", {}, file.name);
  at("results").prepend(shown);
  at("clear").hidden = false;
  let answer;
  try {
    answer = await recognize(file);
  } catch (error) {
    answer = { faces: [], error: { message: error.message } };
  }
  const seen = await picture(file);
  if (seen || answer.width) draw(canvas, seen, answer); else canvas.remove();
  said.replaceChildren(title, ...faces(answer));
  return { name: file.name, answer };
}

async function photographs(files) {
  if (!files.length) return;
  const all = [...files], told = [];
  say(all.length > 1 ? `Looking at ${all.length} pictures …` : "Looking …");
  const work = async () => {
    for (let file = all.shift(); file; file = all.shift()) told.push(await photograph(file));
  };
  await Promise.all([work(), work()]);
  if (told.length === 1) return say(`${told[0].name}: ${summary(told[0].answer)}`);
  const faces = told.reduce((sum, one) => sum + one.answer.faces.length, 0);
  const broken = told.filter((one) => one.answer.error).length;
  say(`${told.length} pictures: ${counted(faces, "face")}${broken ? `, ${broken} could not be answered` : ""}. The answers are below.`);
}

// ---- the camera

let stream = null, history = [], announced = { text: "", time: 0 };

async function startCamera() {
  if (!navigator.mediaDevices) return say("The camera needs this page on localhost or over https.");
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640, facingMode: "user" } });
  } catch {
    return say("There is no camera, or it may not be used. The browser's settings say which.");
  }
  at("camera").textContent = "Stop the camera";
  at("camera").setAttribute("aria-pressed", "true");
  at("live").hidden = false;
  history = [];
  const video = element("video", { muted: true, playsInline: true, srcObject: stream });
  await video.play();
  const still = document.createElement("canvas");
  const mine = stream;
  while (stream === mine) {
    const began = performance.now();
    still.width = video.videoWidth;
    still.height = video.videoHeight;
    still.getContext("2d").drawImage(video, 0, 0);
    try {
      const answer = await recognize(still);
      if (stream !== mine) return;
      draw(at("view"), still, answer);
      at("live-said").replaceChildren(...faces(answer));
      remember(answer);
    } catch (error) {
      stopCamera();
      return say(error.message);
    }
    await new Promise((go) => setTimeout(go, Math.max(0, 100 - (performance.now() - began)))); // ten a second are enough
  }
}

function stopCamera() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  at("camera").textContent = "Use the camera";
  at("camera").setAttribute("aria-pressed", "false");
}

// The time line is about the largest face; what a screen reader says of it changes no more than every three seconds.
function remember(answer) {
  const now = performance.now(), face = answer.faces[0];
  history.push({ time: now, probabilities: face ? Object.values(face.probabilities) : null });
  history = history.filter((one) => one.time > now - 60_000);
  const canvas = at("timeline"), pen = canvas.getContext("2d");
  pen.clearRect(0, 0, canvas.width, canvas.height);
  history.forEach((one, place) => {
    const x = canvas.width * (1 - (now - one.time) / 60_000), next = history[place + 1]?.time ?? now;
    const wide = Math.max(1.5, (canvas.width * Math.min(next - one.time, 1000)) / 60_000 + 0.5);
    let y = canvas.height;
    (one.probabilities ?? []).forEach((value, number) => {
      pen.fillStyle = color(number);
      pen.fillRect(x - (place === history.length - 1 ? wide : 0), y - value * canvas.height, wide, value * canvas.height);
      y -= value * canvas.height;
    });
  });
  const text = face ? (face.uncertain ? "uncertain" : face.label) : "no face";
  canvas.setAttribute("aria-label", `Probabilities over the last minute; now ${text}`);
  if (text !== announced.text && now > announced.time + 3000) {
    announced = { text, time: now };
    say(`Camera: ${summary(answer)}`);
  }
}

// ---- what people do

document.querySelectorAll("[name=place]").forEach((one) => one.addEventListener("change", () => { say(""); sessionStorage.setItem("place", one.value); choose(one.value); }));
at("files").addEventListener("change", (event) => {
  photographs(event.target.files).then(() => { event.target.value = ""; });
});
at("least").addEventListener("input", () => { at("least-shown").textContent = `${Math.round(100 * at("least").value)} %`; });
at("camera").addEventListener("click", () => { if (stream) { stopCamera(); say("The camera is off."); } else startCamera(); });
at("clear").addEventListener("click", () => { at("results").replaceChildren(); at("clear").hidden = true; say(""); at("files").focus(); });
at("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  service.access.token = at("token").value.trim();
  about().then((good) => { if (good) { at("token").value = ""; say("The token is right."); at("files").focus(); } });
});
for (const kind of ["dragover", "dragleave", "drop"]) {
  addEventListener(kind, (event) => {
    event.preventDefault(); // else a picture dropped beside the field replaces the page
    at("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer?.files.length) photographs(event.dataTransfer.files);
  });
}
addEventListener("paste", (event) => { if (event.clipboardData?.files.length) photographs(event.clipboardData.files); });
at("starting").remove();
about();

// The description of the service (OpenAPI) for people, from the service itself.
import { element, markdown } from "./card.js";

const here = location.origin;
document.getElementById("examples").textContent = [
  `curl -F images=@one.jpg -F images=@two.jpg '${here}/v1/predict?min_confidence=0.5'`,
  `curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' ${here}/v1/predict`,
  `curl -H 'Content-Type: application/json' -d '{"images": ["data:image/jpeg;base64,..."]}' ${here}/v1/predict`,
  `curl -H 'Authorization: Bearer TOKEN' ${here}/v1/model      # where the service asks for a token`,
].join("\n");

const named = (ref) => ref?.split("/").pop();

function table(head, rows) {
  const row = (kind, cells) => element("tr", {}, ...cells.map((cell) => element(kind, {}, cell)));
  return element("table", {}, row("th", head), ...rows.map((cells) => row("td", cells)));
}

function kind(schema) {
  if (schema.$ref) return named(schema.$ref);
  if (schema.anyOf) return schema.anyOf.map(kind).join(" or ");
  if (schema.items) return `list of ${kind(schema.items)}`;
  return schema.type ?? "anything";
}

function operation(path, method, about) {
  const found = [element("h2", {}, `${method.toUpperCase()} ${path}`), ...markdown(about.description ?? about.summary)];
  const options = (about.parameters ?? []).map((one) => [one.name, kind(one.schema), String(one.schema.default ?? ""), one.schema.description ?? one.description ?? ""]);
  if (options.length) found.push(table(["option", "kind", "default", "meaning"], options));
  if (about.requestBody) found.push(element("p", {}, `Takes: ${Object.keys(about.requestBody.content).join(", ")}`));
  const answers = Object.entries(about.responses).map(([status, one]) => {
    const schemas = Object.values(one.content ?? {}).map((content) => named(content.schema?.$ref)).filter(Boolean);
    return [status, schemas[0] ?? Object.keys(one.content ?? {})[0] ?? "", one.description];
  });
  found.push(table(["status", "answer", "meaning"], answers));
  return found;
}

const description = await (await fetch("openapi.json")).json();
const all = document.getElementById("paths");
for (const [path, methods] of Object.entries(description.paths)) {
  for (const [method, about] of Object.entries(methods)) all.append(...operation(path, method, about));
}
for (const [name, schema] of Object.entries(description.components?.schemas ?? {})) {
  if (!schema.properties || /^(HTTP)?Validation/.test(name)) continue;
  const rows = Object.entries(schema.properties).map(([key, one]) => [key, kind(one), one.description ?? ""]);
  all.append(element("h2", {}, name), ...(schema.description ? markdown(schema.description) : []), table(["value", "kind", "meaning"], rows));
}

// A model card in Markdown as elements of the page. Text only ever becomes text: nothing in a card can be markup.

export function element(name, given = {}, ...inner) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(given)) {
    if (key in made) made[key] = value; else made.setAttribute(key, value);
  }
  made.append(...inner);
  return made;
}

// **strong**, `code` and \escaped signs within a line.
function inline(text) {
  const found = [];
  for (const part of text.matchAll(/\*\*(.+?)\*\*|(`+) ?(.+?) ?\2|\\([\\`*<>[\]|&$])|([^\\*`]+|[\\*`])/g)) {
    if (part[1] !== undefined) found.push(element("b", {}, ...inline(part[1])));
    else if (part[3] !== undefined) found.push(element("code", {}, part[3]));
    else found.push(part[4] ?? part[5]);
  }
  return found;
}

function table(lines) {
  const rows = lines.filter((line) => !/^\|( ?-+ ?\|)+$/.test(line));
  const made = element("table");
  rows.forEach((line, number) => {
    const cells = line.slice(1, -1).split(/(?<!\\)\|/).map((cell) => cell.trim());
    if (cells.every((cell) => !cell)) return; // a head without words
    made.append(element("tr", {}, ...cells.map((cell) => element(number ? "td" : "th", {}, ...inline(cell)))));
  });
  return made;
}

export function markdown(text, lowest = 3) {
  const found = [];
  for (const block of text.split(/\n{2,}(?![^`]*\n```$)/)) {
    const lines = block.trim().split("\n");
    const head = /^(#+) (.*)$/.exec(lines[0]);
    if (lines[0].startsWith("```")) found.push(element("pre", {}, lines.slice(1).join("\n").replace(/\n?```$/, "")));
    else if (head) {
      found.push(element(`h${Math.min(6, head[1].length + lowest - 1)}`, {}, ...inline(head[2])));
      if (lines.length > 1) found.push(...markdown(lines.slice(1).join("\n"), lowest));
    } else if (lines[0].startsWith("|")) found.push(table(lines));
    else if (block.trim()) found.push(element("p", {}, ...inline(lines.join(" "))));
  }
  return found;
}

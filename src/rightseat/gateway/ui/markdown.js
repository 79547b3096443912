// Markdown -> DOM nodes. Nothing is ever parsed as HTML: every text becomes a text node, so there is nothing to sanitise.
//
// Rendering never throws and is linear in the text: no pattern here can backtrack, every search for a closing mark remembers where the next
// one is, blocks nest MAX_DEPTH deep, and a text that would make more than MAX_NODES elements goes on as plain text.

const MAX_DEPTH = 16;
const MAX_NODES = 20_000;
const MAX_COLUMNS = 100; // browsers lay out wide tables slowly

// Appended one by one: a call with very many arguments overflows the stack.
function element(name, children = []) {
  const node = document.createElement(name);
  for (const child of children) node.append(child);
  return node;
}

export function plain(text) {
  const node = element("div", [text]);
  node.className = "plain";
  return node;
}

// --- within a line -----------------------------------------------------------------------------------------------------

const isWord = (char) => char !== undefined && /\w/.test(char);
const isSpace = (char) => char === " " || char === "\t";
const URL_END = new Set([" ", "\t", "<", ">", '"', "'", ")", "]"]);

function link(text, target) {
  // Only addresses that cannot run anything.
  if (!/^(https?:\/\/|mailto:|#|\/(?!\/))/i.test(target)) return document.createTextNode(text);
  const node = element("a", [text]);
  node.href = target;
  node.target = "_blank";
  node.rel = "noopener noreferrer nofollow";
  return node;
}

// Where a mark stands next at or after a place. Asked for growing places, it looks at each character once.
class Marks {
  constructor(text) { this.text = text; this.known = new Map(); this.runs = null; this.last = -1; }

  next(mark, from) {
    let found = this.known.get(mark) ?? -1;
    if (found < from) {
      found = this.text.indexOf(mark, from);
      if (found < 0) found = Infinity;
      this.known.set(mark, found);
    }
    return found;
  }

  space(from) { return Math.min(this.next(" ", from), this.next("\t", from)); }

  // The next run of exactly so many backticks after a place. Runs are found once; each list is walked once.
  run(length, after) {
    if (this.runs === null) {
      this.runs = new Map();
      for (let i = this.text.indexOf("`"); i >= 0;) {
        const end = runEnd(this.text, i);
        if (!this.runs.has(end - i)) this.runs.set(end - i, { at: 0, places: [] });
        this.runs.get(end - i).places.push(i);
        i = this.text.indexOf("`", end);
      }
    }
    const same = this.runs.get(length);
    if (!same) return Infinity;
    while (same.at < same.places.length && same.places[same.at] < after) same.at++;
    return same.places[same.at] ?? Infinity;
  }
}

function runEnd(text, from) {
  let end = from + 1;
  while (text[end] === text[from]) end++;
  return end;
}

// What begins at a place: [make, end]; [null, end] where it is text up to there; null where it is a letter like others.
const BEGINS = {
  "`"(text, i, marks) {
    const from = runEnd(text, i), close = marks.run(from - i, from);
    if (close === Infinity) return [null, from];
    const code = text.slice(from, close);
    return [() => element("code", [code.trim() || code]), close + from - i];
  },
  "*"(text, i, marks, depth, budget) {
    if (text[i + 1] === "*") {
      if (text[i + 2] === "*") return null; // the last two of a run begin it
      const close = marks.next("**", i + 2);
      if (close === Infinity) return [null, i + 2];
      return [() => element("strong", inline(text.slice(i + 2, close), budget, depth + 1)), close + 2];
    }
    return emphasis("*", text, i, marks, depth, budget);
  },
  _(text, i, marks, depth, budget) { return emphasis("_", text, i, marks, depth, budget); },
  "["(text, i, marks) {
    const close = marks.next("]", i + 1);
    if (close === Infinity || close === i + 1 || text[close + 1] !== "(") return null;
    const end = marks.next(")", close + 2);
    if (end === Infinity || end === close + 2 || marks.space(close + 2) < end) return null;
    return [() => link(text.slice(i + 1, close), text.slice(close + 2, end)), end + 1];
  },
  h(text, i) {
    const head = text.startsWith("https://", i) ? 8 : text.startsWith("http://", i) ? 7 : 0;
    let end = i + head;
    while (head && end < text.length && !URL_END.has(text[end])) end++;
    const whole = text.slice(i, end);
    return end > i + head ? [() => link(whole, whole), end] : null;
  },
};

function emphasis(mark, text, i, marks, depth, budget) {
  const first = text[i + 1];
  if (isWord(text[i - 1]) || text[i - 1] === mark || first === undefined || first === mark || isSpace(first)) return null;
  const close = marks.next(mark, i + 1);
  if (close === Infinity || isWord(text[close + 1]) || text[close + 1] === mark) return null;
  return [() => element("em", inline(text.slice(i + 1, close), budget, depth + 1)), close + 1];
}

function inline(text, budget, depth = 0) {
  const nodes = [], marks = new Marks(text);
  let from = 0;
  for (let i = 0; i < text.length && depth < MAX_DEPTH && budget.left > 0;) {
    const found = Object.hasOwn(BEGINS, text[i]) ? BEGINS[text[i]](text, i, marks, depth, budget) : null;
    if (!found || !found[0]) { i = found ? found[1] : i + 1; continue; }
    if (i > from) nodes.push(document.createTextNode(text.slice(from, i)));
    budget.left--;
    nodes.push(found[0]());
    i = from = found[1];
  }
  if (from < text.length) nodes.push(document.createTextNode(text.slice(from)));
  return nodes;
}

// --- blocks ------------------------------------------------------------------------------------------------------------

function codeBlock(language, lines) {
  const copy = element("button", ["Copy"]);
  copy.type = "button";
  const code = lines.join("\n");
  copy.addEventListener("click", async () => {
    try { await navigator.clipboard.writeText(code); copy.textContent = "Copied"; } catch { copy.textContent = "Not allowed"; }
  });
  const head = element("div", [element("span", [language || "code"]), copy]);
  head.className = "code-head";
  const pre = element("pre", [element("code", [code])]);
  pre.tabIndex = 0;
  return element("div", [head, pre]);
}

function indentOf(line) {
  let n = 0;
  while (isSpace(line[n])) n++;
  return n;
}

// {mark, length, language} of the line that opens a block of code.
function fenceOf(line) {
  const from = indentOf(line), mark = line[from];
  if (from > 3 || (mark !== "`" && mark !== "~")) return null;
  const end = runEnd(line, from);
  return end - from < 3 ? null : { mark, length: end - from, language: /^[\w+#.-]{0,40}/.exec(line.slice(end).trimStart())[0] };
}

function closes(line, fence) {
  const from = indentOf(line);
  return line[from] === fence.mark && runEnd(line, from) - from >= fence.length;
}

// {indent, ordered, text} of an item of a list.
function itemOf(line) {
  const indent = indentOf(line), digits = /^\d{1,9}(?=[.)])/.exec(line.slice(indent, indent + 10));
  const end = indent + (digits ? digits[0].length + 1 : 1);
  if ((!digits && !"-*+".includes(line[indent] ?? "x")) || !isSpace(line[end])) return null;
  return { indent, ordered: digits !== null, text: line.slice(end).trimStart() };
}

function headingOf(line) {
  if (line[0] !== "#") return null;
  const end = runEnd(line, 0);
  if (end > 6 || !isSpace(line[end])) return null;
  let last = line.trimEnd().length;
  while (last > end && line[last - 1] === "#") last--;
  return { level: end, text: line.slice(end, last).trim() };
}

function isRule(line) {
  const marks = line.replaceAll(" ", "").replaceAll("\t", "");
  return indentOf(line) <= 3 && marks.length >= 3 && "-*_".includes(marks[0]) && runEnd(marks, 0) === marks.length;
}

const isQuote = (line) => line[indentOf(line)] === ">" && indentOf(line) <= 3;
const unquoted = (line) => { const rest = line.slice(indentOf(line) + 1); return isSpace(rest[0]) ? rest.slice(1) : rest; };
const isBlank = (line) => indentOf(line) === line.length;

function cellsOf(row) {
  let text = row.trim();
  if (text.startsWith("|")) text = text.slice(1);
  if (text.endsWith("|")) text = text.slice(0, -1);
  return text.split("|").map((cell) => cell.trim());
}

const isSeparator = (line) => line !== undefined && line.includes("-") && cellsOf(line).every((cell) => /^:?-+:?$/.test(cell));

function rowOf(kind, row, budget) {
  const cells = cellsOf(row);
  budget.left -= cells.length + 1;
  return budget.left > 0 && cells.length <= MAX_COLUMNS ? element("tr", cells.map((cell) => element(kind, inline(cell, budget)))) : element("tr", [element(kind, [row])]);
}

function tableFrom(lines, start, budget) {
  const head = element("thead", [rowOf("th", lines[start], budget)]), body = element("tbody");
  let i = start + 2;
  for (; i < lines.length && lines[i].includes("|") && budget.left > 0; i++) body.append(rowOf("td", lines[i], budget));
  return [element("table", [head, body]), i];
}

function listFrom(lines, start, depth, budget) {
  const first = itemOf(lines[start]), list = element(first.ordered ? "ol" : "ul");
  let i = start;
  while (i < lines.length && budget.left > 0) {
    const item = itemOf(lines[i]);
    if (!item || item.indent > first.indent + 1) break;
    const inner = [];
    for (i++; i < lines.length && !isBlank(lines[i]) && indentOf(lines[i]) >= 2; i++) inner.push(lines[i].slice(Math.min(4, indentOf(lines[i]))));
    budget.left--;
    list.append(element("li", [...inline(item.text, budget), ...(inner.length ? [blocks(inner, depth + 1, budget)] : [])]));
  }
  return [list, i];
}

function paragraphFrom(lines, start, budget) {
  const node = element("p");
  let i = start;
  for (; i < lines.length && !isBlank(lines[i]) && budget.left > 0; i++) {
    if (i > start && (fenceOf(lines[i]) || isQuote(lines[i]) || headingOf(lines[i]) || itemOf(lines[i]))) break;
    if (i > start) { node.append(element("br")); budget.left--; }
    for (const child of inline(lines[i], budget)) node.append(child);
  }
  return [node, i];
}

// The block that begins at a line: [node, the line after it].
function blockFrom(lines, start, depth, budget) {
  const line = lines[start], fence = fenceOf(line), heading = headingOf(line);
  let i = start;
  if (fence) {
    const inner = [];
    for (i++; i < lines.length && !closes(lines[i], fence); i++) inner.push(lines[i]);
    budget.left -= 5;
    return [codeBlock(fence.language, inner), i + 1];
  }
  if (heading) return [element(`h${Math.min(6, heading.level + 2)}`, inline(heading.text, budget)), i + 1];
  if (isRule(line)) return [element("hr"), i + 1];
  if (isQuote(line)) {
    const inner = [];
    for (; i < lines.length && isQuote(lines[i]); i++) inner.push(unquoted(lines[i]));
    return [element("blockquote", [blocks(inner, depth + 1, budget)]), i];
  }
  if (line.includes("|") && isSeparator(lines[i + 1]) && cellsOf(line).length <= MAX_COLUMNS) return tableFrom(lines, start, budget);
  return itemOf(line) ? listFrom(lines, start, depth, budget) : paragraphFrom(lines, start, budget);
}

function blocks(lines, depth, budget) {
  const nodes = document.createDocumentFragment();
  let i = 0;
  while (i < lines.length) {
    if (isBlank(lines[i])) { i++; continue; }
    if (depth >= MAX_DEPTH || --budget.left <= 0) { nodes.append(plain(lines.slice(i).join("\n"))); break; }
    const [node, next] = blockFrom(lines, i, depth, budget);
    nodes.append(node);
    i = Math.max(next, i + 1);
  }
  return nodes;
}

// A fragment; never throws.
export function render(text) {
  const whole = typeof text === "string" ? text : JSON.stringify(text) ?? "";
  try {
    return blocks(whole.replaceAll("\r\n", "\n").split("\n"), 0, { left: MAX_NODES });
  } catch (error) {
    console.warn("shown as plain text:", error);
    const nodes = document.createDocumentFragment();
    nodes.append(plain(whole));
    return nodes;
  }
}

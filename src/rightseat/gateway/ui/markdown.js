// Markdown -> DOM nodes. Nothing is ever parsed as HTML: every text becomes a text node, so there is nothing to sanitise.

const INLINE = /(`+)([\s\S]*?[^`])\1(?!`)|\*\*([^*\n]+(?:\*[^*\n]+)*)\*\*|(?<![\w*])\*([^*\s][^*\n]*)\*(?![\w*])|(?<!\w)_([^_\s][^_\n]*)_(?!\w)|\[([^\]\n]+)\]\(([^)\s]+)\)|(https?:\/\/[^\s<>"')\]]+)/;

function element(name, ...children) {
  const node = document.createElement(name);
  node.append(...children);
  return node;
}

function link(text, target) {
  // Only addresses that cannot run anything.
  if (!/^(https?:\/\/|mailto:|#|\/(?!\/))/i.test(target)) return document.createTextNode(text);
  const node = element("a", text);
  node.href = target;
  node.target = "_blank";
  node.rel = "noopener noreferrer nofollow";
  return node;
}

function inline(text) {
  const nodes = [];
  let rest = text;
  while (rest) {
    const match = INLINE.exec(rest);
    if (!match) break;
    if (match.index) nodes.push(document.createTextNode(rest.slice(0, match.index)));
    const [whole, , code, bold, star, under, label, target, bare] = match;
    if (code !== undefined) nodes.push(element("code", code.trim() || code));
    else if (bold !== undefined) nodes.push(element("strong", ...inline(bold)));
    else if (star !== undefined || under !== undefined) nodes.push(element("em", ...inline(star ?? under)));
    else if (label !== undefined) nodes.push(link(label, target));
    else nodes.push(link(bare, bare));
    rest = rest.slice(match.index + whole.length);
  }
  if (rest) nodes.push(document.createTextNode(rest));
  return nodes;
}

function codeBlock(language, lines) {
  const copy = element("button", "Copy");
  copy.type = "button";
  const code = lines.join("\n");
  copy.addEventListener("click", async () => {
    try { await navigator.clipboard.writeText(code); copy.textContent = "Copied"; } catch { copy.textContent = "Not allowed"; }
  });
  const head = element("div", element("span", language || "code"), copy);
  head.className = "code-head";
  const pre = element("pre", element("code", code));
  pre.tabIndex = 0;
  return element("div", head, pre);
}

const FENCE = /^\s{0,3}(```+|~~~+)\s*([\w+#.-]*)/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;

function table(rows) {
  const cells = (row) => row.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());
  const head = element("tr", ...cells(rows[0]).map((cell) => element("th", ...inline(cell))));
  const body = rows.slice(2).map((row) => element("tr", ...cells(row).map((cell) => element("td", ...inline(cell)))));
  return element("table", element("thead", head), element("tbody", ...body));
}

export function render(text) {
  const lines = text.split("\n"), nodes = [];
  let i = 0;
  while (i < lines.length) {
    const line = lines[i], fence = FENCE.exec(line);
    if (fence) {
      const inner = [];
      for (i++; i < lines.length && !lines[i].trimStart().startsWith(fence[1]); i++) inner.push(lines[i]);
      i++;
      nodes.push(codeBlock(fence[2], inner));
      continue;
    }
    if (!line.trim()) { i++; continue; }
    const heading = /^(#{1,6})\s+(.*?)\s*#*$/.exec(line);
    if (heading) { nodes.push(element(`h${Math.min(6, heading[1].length + 2)}`, ...inline(heading[2]))); i++; continue; }
    if (/^\s{0,3}([-*_])(\s*\1){2,}\s*$/.test(line)) { nodes.push(element("hr")); i++; continue; }
    if (/^\s{0,3}>/.test(line)) {
      const inner = [];
      for (; i < lines.length && /^\s{0,3}>/.test(lines[i]); i++) inner.push(lines[i].replace(/^\s{0,3}>\s?/, ""));
      nodes.push(element("blockquote", ...render(inner.join("\n"))));
      continue;
    }
    if (line.includes("|") && /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/.test(lines[i + 1] ?? "")) {
      const rows = [];
      for (; i < lines.length && lines[i].includes("|"); i++) rows.push(lines[i]);
      nodes.push(table(rows));
      continue;
    }
    if (ITEM.test(line)) {
      const first = ITEM.exec(line), list = element(/\d/.test(first[2]) ? "ol" : "ul");
      while (i < lines.length) {
        const item = ITEM.exec(lines[i]);
        if (!item || item[1].length > first[1].length + 1) break;
        const inner = [];
        for (i++; i < lines.length && lines[i].trim() && /^\s{2,}/.test(lines[i]); i++) inner.push(lines[i].replace(/^\s{2,4}/, ""));
        list.append(element("li", ...inline(item[3]), ...(inner.length ? render(inner.join("\n")) : [])));
      }
      nodes.push(list);
      continue;
    }
    const paragraph = [];
    for (; i < lines.length && lines[i].trim() && !FENCE.test(lines[i]) && !/^\s{0,3}(#{1,6}\s|>)/.test(lines[i]) && !(paragraph.length && ITEM.test(lines[i])); i++) paragraph.push(lines[i]);
    nodes.push(element("p", ...paragraph.flatMap((one, n) => (n ? [element("br"), ...inline(one)] : inline(one)))));
  }
  return nodes;
}

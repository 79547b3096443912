// The dashboard: asks management once a second while it is shown. Every text goes into the page as text.
import { askKey, forgetKey, storedKey } from "/ui/app.js";

const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
let timer = 0, shown = false, slow = 0, lastKeys = "", lastAccounts = "";

async function call(method, path, body) {
  const response = await fetch(`/v0/management${path}`, {
    method, headers: { authorization: `Bearer ${storedKey("management")}`, ...(body ? { "content-type": "application/json" } : {}) }, body: body ? JSON.stringify(body) : undefined,
  });
  const value = await response.json();
  if (!response.ok) throw Object.assign(new Error(value.error?.message || `HTTP ${response.status}`), { status: response.status });
  return value;
}

function cells(...values) {
  const row = document.createElement("tr");
  for (const value of values) { const cell = document.createElement("td"); cell.append(value instanceof Node ? value : String(value ?? "")); row.append(cell); }
  return row;
}

function button(text, label, on) {
  const node = document.createElement("button");
  node.type = "button";
  node.textContent = text;
  node.setAttribute("aria-label", label);
  node.addEventListener("click", async () => { node.disabled = true; try { await on(); } catch (e) { note(e.message); } finally { node.disabled = false; lastKeys = lastAccounts = ""; } });
  return node;
}

function note(text) { $("dashboard-note").textContent = text; }
const ms = (seconds) => (seconds == null ? "" : `${(seconds * 1000).toFixed(seconds < 0.1 ? 1 : 0)} ms`);
const many = (n) => Intl.NumberFormat("en", { notation: "compact" }).format(n);

function plot(id, lines) {
  const svg = $(id), width = 300, height = 100, top = 8;
  const values = lines.flat().filter((v) => v != null), most = Math.max(1e-9, ...values);
  svg.setAttribute("viewBox", `0 0 ${width} ${height + 14}`);
  svg.setAttribute("preserveAspectRatio", "none");
  const nodes = [];
  for (const share of [0, 0.5, 1]) {
    const line = document.createElementNS(SVG, "line"), y = height - share * (height - top);
    for (const [name, value] of Object.entries({ x1: 0, x2: width, y1: y, y2: y, class: "plot-grid" })) line.setAttribute(name, value);
    nodes.push(line);
  }
  lines.forEach((series, n) => {
    let path = "", pen = false;
    series.forEach((value, i) => {
      if (value == null) { pen = false; return; }
      path += `${pen ? "L" : "M"}${((i / (series.length - 1)) * width).toFixed(1)} ${(height - (value / most) * (height - top)).toFixed(1)}`;
      if (!pen && (series[i + 1] == null)) path += "h1";
      pen = true;
    });
    const node = document.createElementNS(SVG, "path");
    node.setAttribute("d", path || "M0 0");
    node.setAttribute("class", n ? "plot-b" : "plot-a");
    nodes.push(node);
  });
  const text = document.createElementNS(SVG, "text");
  text.setAttribute("x", 2); text.setAttribute("y", height + 12); text.setAttribute("class", "plot-text");
  text.textContent = values.length ? `highest ${most >= 100 ? most.toFixed(0) : most.toPrecision(2)}` : "nothing yet";
  svg.replaceChildren(...nodes, text);
}

// Calls of models, and whatever was refused; not what this page itself asks for.
function isOfClients(one) {
  return one.model || one.asked_for || (one.status >= 400 && !one.path?.startsWith("/v0/management"));
}

// The dialects of a request; for one that was turned away before that was known, what it asked for.
function apiOf(one) {
  if (!one.upstream) return one.dialect || one.route || one.path;
  return one.dialect === one.upstream ? one.dialect : `${one.dialect} over ${one.upstream}`;
}

function draw(value) {
  const { series, total, last_minute: last } = value.history;
  const tiles = {
    "Open requests": value.history.open, "Requests": many(total.requests), "Errors": many(total.errors), "Tokens in": many(total.input_tokens), "Tokens out": many(total.output_tokens),
    "First chunk, p50": ms(last.first_p50) || "-", "First chunk, p95": ms(last.first_p95) || "-", "Whole, p95": ms(last.seconds_p95) || "-", "Version": value.version,
  };
  $("tiles").replaceChildren(...Object.entries(tiles).map(([name, one]) => {
    const box = document.createElement("div"), term = document.createElement("dt"), data = document.createElement("dd");
    term.textContent = name; data.textContent = one; box.append(term, data);
    return box;
  }));
  plot("plot-requests", [series.requests, series.errors]);
  plot("plot-tokens", [series.output_tokens, series.input_tokens]);
  plot("plot-latency", [series.first_p50.map((v) => v && v * 1000), series.first_p95.map((v) => v && v * 1000)]);
  $("breakers").replaceChildren(...Object.entries(value.resilience.circuits).map(([model, state]) => cells(model, state.replace("_", " "))));
  $("queue").textContent = value.resilience.running == null ? "No limit of answers at once." : `${value.resilience.running} answers under way, ${value.resilience.waiting} requests in the queue.`;
  $("requests").replaceChildren(...value.requests.filter(isOfClients).map((one) => {
    const status = document.createElement("span");
    status.textContent = one.under_way ? "open" : one.status;
    status.className = !one.under_way && one.status >= 400 ? "bad" : "good";
    const tokens = one.input_tokens == null ? "" : `${one.input_tokens} + ${one.output_tokens}`;
    return cells(new Date(one.at * 1000).toLocaleTimeString(), status, one.model || one.asked_for, apiOf(one), one.key, tokens, ms(one.first_seconds), ms(one.seconds), one.error);
  }));
}

function drawAccounts(accounts, quotas) {
  const rows = accounts.map((one) => {
    const left = Object.entries(quotas[one.name] || {}).map(([kind, ratio]) => `${kind} ${(ratio * 100).toFixed(0)} %`).join(", ");
    const cooling = Object.entries(one.cooldowns).map(([model, seconds]) => `${model === "*" ? "all models" : model}: cooldown ${seconds} s`).join(", ");
    const actions = document.createElement("span");
    actions.append(button("Refresh", `Refresh the token of ${one.name}`, () => call("POST", `/accounts/${encodeURIComponent(one.name)}/refresh`)), " ",
      button("Forget", `Forget ${one.name}`, () => confirm(`Forget ${one.name}?`) && call("DELETE", `/accounts/${encodeURIComponent(one.name)}`)));
    return cells(one.name, one.token_seconds_left ? `${Math.round(one.token_seconds_left / 60)} min left` : "none yet", one.under_way, left || "-", cooling || one.reason || "ready", actions);
  });
  $("accounts").replaceChildren(...rows);
}

function drawKeys(keys) {
  $("keys").replaceChildren(...keys.map((one) => {
    const limits = [["requests_per_minute", "req/min"], ["tokens_per_minute", "tok/min"], ["daily_tokens", "tok/day"], ["monthly_tokens", "tok/month"]].filter(([name]) => one[name] != null).map(([name, unit]) => `${many(one[name])} ${unit}`);
    const day = one.used.day || { input_tokens: 0, output_tokens: 0 };
    const actions = one.state === "active" ? button("Revoke", `Revoke ${one.name}`, () => confirm(`Revoke ${one.name}?`) && call("DELETE", `/keys/${one.id}`)) : "";
    return cells(one.id, one.name, one.state, [one.models.join(" "), ...limits].filter(Boolean).join(", ") || "none", many(day.input_tokens + day.output_tokens), actions);
  }));
}

async function tick() {
  if (!shown) return;
  try {
    const value = await call("GET", "/overview");
    note("");
    draw(value);
    const accounts = JSON.stringify([value.accounts, value.quotas]);
    if (accounts !== lastAccounts && !$("accounts").contains(document.activeElement)) { drawAccounts(value.accounts, value.quotas); lastAccounts = accounts; }
    if (slow++ % 3 === 0 || !lastKeys) {
      const { keys } = await call("GET", "/keys"), text = JSON.stringify(keys);
      if (text !== lastKeys && !$("keys").contains(document.activeElement)) { drawKeys(keys); lastKeys = text; }
    }
  } catch (e) {
    if (e.status === 401) {
      forgetKey("management");
      if (!(await askKey("management", "The dashboard needs the management key of this gateway."))) { note("Without the management key there is nothing to show. Choose Dashboard again to enter it."); return; }
      timer = setTimeout(tick, 0);
      return;
    }
    note(e.status === 403 ? "Management is switched off: start the gateway with RIGHTSEAT_MANAGEMENT_KEY set." : e.status === 429 ? e.message : `No answer: ${e.message}`);
  }
  if (shown) timer = setTimeout(tick, 1000);
}

export function startDashboard() { if (!shown) { shown = true; tick(); } }
export function stopDashboard() { shown = false; clearTimeout(timer); }

$("login").addEventListener("click", async () => {
  const place = $("login-state");
  try {
    const begun = await call("POST", "/accounts", {});
    if (!begun.user_code) { place.textContent = begun.error || begun.state; return; }
    const code = document.createElement("strong"), link = document.createElement("a");
    code.textContent = begun.user_code;
    code.className = "secret";
    link.textContent = begun.verification_uri;
    if (/^https?:\/\//.test(begun.verification_uri)) link.href = begun.verification_uri;
    link.target = "_blank";
    link.rel = "noopener noreferrer";
    place.replaceChildren("Enter ", code, " at ", link);
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, 1000));
      const now = await call("GET", `/logins/${encodeURIComponent(begun.login)}`);
      if (now.state !== "pending") { place.textContent = now.state === "done" ? `${now.account} is logged in.` : now.error || now.state; lastAccounts = ""; return; }
    }
  } catch (e) { place.textContent = e.message; }
});
$("make-key").addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = { name: $("key-name").value, models: $("key-models").value.split(/[\s,]+/).filter(Boolean) };
  if ($("key-daily").value) body.daily_tokens = Number($("key-daily").value);
  try {
    const made = await call("POST", "/keys", body), text = document.createElement("code");
    text.textContent = made.key;
    text.className = "secret";
    $("key-made").replaceChildren("Shown this once: ", text);
    $("make-key").reset();
    lastKeys = "";
  } catch (e) { $("key-made").textContent = e.message; }
});

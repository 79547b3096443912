// The chat: conversations kept in this browser, answers streamed over one WebSocket that survives a lost connection.
import { plain, render } from "/ui/markdown.js";
import { startDashboard, stopDashboard } from "/ui/dashboard.js";

const $ = (id) => document.getElementById(id);
const RENDER_MS = 100;

// --- what the browser keeps -------------------------------------------------------------------------------------------

// A browser may refuse to keep anything; the page works without.
function kept(name, storage = () => localStorage) { try { return storage().getItem(name); } catch { return null; } }
function keep(name, value, storage = () => localStorage) { try { storage().setItem(name, value); return true; } catch { return false; } }
function drop(name) { for (const storage of [() => sessionStorage, () => localStorage]) try { storage().removeItem(name); } catch { /* there is nothing */ } }

// --- keys -------------------------------------------------------------------------------------------------------------

const session = () => sessionStorage;

export function storedKey(kind) { return kept(`rightseat-${kind}`, session) || kept(`rightseat-${kind}`) || ""; }

export function forgetKey(kind) { drop(`rightseat-${kind}`); }

export function askKey(kind, why) {
  const dialog = $("key-dialog");
  if (dialog.open) return Promise.resolve("");
  $("key-title").textContent = kind === "management" ? "Management key" : "Key of this gateway";
  $("key-why").textContent = why;
  $("key-input").value = "";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => {
    const key = dialog.returnValue === "ok" ? $("key-input").value.trim() : "";
    if (key) keep(`rightseat-${kind}`, key, $("key-keep").checked ? undefined : session);
    resolve(key);
  }, { once: true }));
}

$("key-cancel").addEventListener("click", () => $("key-dialog").close("cancel"));

// --- the socket ---------------------------------------------------------------------------------------------------------

class Socket {
  constructor(say) { this.say = say; this.streams = new Map(); this.queue = []; this.session = null; this.wait = 250; this.ready = false; this.number = 0; this.connect(); }

  connect() {
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/ws`);
    this.socket = socket;
    socket.onopen = () => socket.send(JSON.stringify({ type: "hello", key: storedKey("client") || undefined, session: this.session || undefined }));
    socket.onmessage = (message) => this.take(JSON.parse(message.data));
    socket.onclose = () => this.lost();
  }

  lost() {
    this.ready = false;
    if (this.refused) { this.say("a key is needed"); return; }
    this.say("connection lost, trying again");
    setTimeout(() => this.connect(), this.wait);
    this.wait = Math.min(this.wait * 2, 8000);
  }

  async take(frame) {
    if (frame.type === "session") {
      const gone = this.session && !frame.resumed;
      this.session = frame.session;
      this.ready = true;
      this.wait = 250;
      this.say("connected");
      for (const [id, stream] of [...this.streams]) {
        if (gone || (stream.sent && !frame.open.includes(id))) { this.streams.delete(id); stream.on({ type: "end", status: "lost" }); }
        else if (stream.sent) this.send({ type: "resume", id, seq: stream.seq });
      }
      for (const id of frame.open) if (!this.streams.has(id)) { this.send({ type: "cancel", id }); this.send({ type: "resume", id, seq: 1e9 }); }
      for (const waiting of this.queue.splice(0)) this.send(waiting);
      return;
    }
    if (frame.type === "error" && frame.id == null) {
      if (frame.status === 401 || frame.status === 403) {
        this.refused = frame.error.message;
        forgetKey("client");
        await this.unlock();
      } else this.say(frame.error.message);
      return;
    }
    const stream = this.streams.get(frame.id);
    if (!stream) { if (frame.seq) this.send({ type: "ack", id: frame.id, seq: frame.seq }); return; }
    if (frame.seq !== undefined) {
      if (frame.seq <= stream.seq) return; // it came before the connection was lost
      stream.seq = frame.seq;
      if (frame.type === "end" || frame.seq % 16 === 0) this.send({ type: "ack", id: frame.id, seq: frame.seq });
    }
    if (frame.type === "end" || frame.type === "error") this.streams.delete(frame.id);
    stream.on(frame);
  }

  // Ask for a key where one is needed; on the dashboard that waits until the chat is shown.
  async unlock() {
    if (!this.refused || $("chat").hidden) return;
    if (await askKey("client", this.refused)) { this.refused = ""; this.connect(); }
  }

  send(frame) {
    if (!this.ready || this.socket.readyState !== WebSocket.OPEN) { if (frame.type === "request" || frame.type === "cancel") this.queue.push(frame); return; }
    if (frame.type === "request") { const stream = this.streams.get(frame.id); if (stream) stream.sent = true; }
    this.socket.send(JSON.stringify(frame));
  }

  request(path, body, on) {
    const id = `r${++this.number}`;
    this.streams.set(id, { seq: 0, on, sent: false });
    this.send({ type: "request", id, path, body });
    return id;
  }

  cancel(id) { this.send({ type: "cancel", id }); }
}

// --- conversations -----------------------------------------------------------------------------------------------------

const STORE = "rightseat-conversations";
const UNREADABLE = "Unreadable history";
const textOf = (value) => (typeof value === "string" ? value : value == null ? "" : JSON.stringify(value));

// A message out of what was kept. Whatever it holds is shown, as text where it is not what it should be.
function readMessage(value) {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return { role: "error", text: textOf(value) };
  return {
    role: ["user", "assistant", "error"].includes(value.role) ? value.role : "error",
    model: textOf(value.model),
    text: textOf(value.text),
    reasoning: textOf(value.reasoning),
    images: (Array.isArray(value.images) ? value.images : []).filter((url) => typeof url === "string"),
    calls: (Array.isArray(value.calls) ? value.calls : []).map((call) => ({ name: textOf(call?.name), arguments: textOf(call?.arguments) })),
  };
}

function readConversation(value) {
  if (!Array.isArray(value?.messages)) return { id: newId(), title: UNREADABLE, messages: [{ role: "error", text: textOf(value) }] };
  return { id: textOf(value.id) || newId(), title: textOf(value.title) || "Conversation", messages: value.messages.map(readMessage) };
}

function readConversations(text) {
  let value;
  try { value = JSON.parse(text || "[]"); } catch { value = text; }
  return Array.isArray(value) ? value.map(readConversation) : value === null ? [] : [readConversation(value)];
}

function newId() { return crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`; } // it is there on secure pages only

let conversations = readConversations(kept(STORE));
let current = conversations[0] || null;
let running = null; // {id} of the answer that comes
let asked = false; // a message waits for the list of models
const busy = () => running !== null || asked;
let images = [];

function save() {
  for (;;) {
    if (keep(STORE, JSON.stringify(conversations)) || conversations.length < 2) return;
    conversations.pop(); // full: the oldest goes
  }
}

function begin() {
  if (current && !current.messages.length) return;
  current = { id: newId(), title: "New conversation", messages: [] };
  conversations.unshift(current);
}

function showConversations() {
  $("conversations").replaceChildren(...conversations.map((one) => {
    const item = document.createElement("li"), open = document.createElement("button"), drop = document.createElement("button");
    open.type = drop.type = "button";
    open.textContent = one.title;
    open.setAttribute("aria-current", String(one === current));
    open.addEventListener("click", () => { if (busy()) return; current = one; showAll(); $("prompt").focus(); });
    drop.textContent = "\u00d7";
    drop.setAttribute("aria-label", `Delete ${one.title}`);
    drop.addEventListener("click", () => {
      if (busy() && one === current) return;
      conversations = conversations.filter((other) => other !== one);
      if (one === current) { current = conversations[0] || null; if (!current) begin(); }
      save(); showAll();
    });
    item.append(open, drop);
    return item;
  }));
}

function folded(title, text) {
  const details = document.createElement("details"), summary = document.createElement("summary"), pre = document.createElement("pre");
  summary.textContent = title;
  pre.textContent = text;
  pre.tabIndex = 0;
  details.append(summary, pre);
  return details;
}

// What a message shows. A fault in one is its own: it is shown as text, and the page goes on.
function partsOf(message) {
  const parts = document.createDocumentFragment();
  try {
    if (message.reasoning) parts.append(folded("Reasoning", message.reasoning));
    for (const url of message.images || []) { const image = document.createElement("img"); image.src = url; image.alt = "Image that was sent"; parts.append(image); }
    parts.append(render(message.text || ""));
    for (const call of message.calls || []) parts.append(folded(`Tool call: ${call.name}`, call.arguments));
    return parts;
  } catch (error) {
    console.warn("shown as plain text:", error);
    return plain(textOf(message.text));
  }
}

function fill(node, message) {
  const body = node.querySelector(".body"), open = new Set([...body.querySelectorAll("details[open] > summary")].map((s) => s.textContent));
  body.replaceChildren(partsOf(message));
  for (const details of body.querySelectorAll("details")) details.open = open.has(details.firstChild.textContent);
}

function nodeOf(message) {
  const node = document.createElement("article"), who = document.createElement("p"), body = document.createElement("div");
  node.className = `message ${message.role}`;
  who.className = "who";
  who.textContent = message.role === "user" ? "You" : message.role === "error" ? "Trouble" : message.model || "Model";
  body.className = "body";
  node.append(who, body);
  fill(node, message);
  return node;
}

function showAll() {
  showConversations();
  const nodes = document.createDocumentFragment();
  for (const message of current ? current.messages : []) nodes.append(nodeOf(message));
  $("messages").replaceChildren(nodes);
  $("messages").scrollTop = $("messages").scrollHeight;
  $("retry").disabled = busy() || !current || !current.messages.some((m) => m.role === "user");
}

// --- asking --------------------------------------------------------------------------------------------------------------

function asMessages(messages) {
  return messages.filter((m) => m.role !== "error" && (m.text || m.images?.length)).map((m) => ({
    role: m.role,
    content: m.images?.length ? [...(m.text ? [{ type: "text", text: m.text }] : []), ...m.images.map((url) => ({ type: "image_url", image_url: { url } }))] : m.text,
  }));
}

function trouble(text) {
  current.messages.push({ role: "error", text });
  save(); showAll(); buttons();
}

function ask() {
  if (!$("model").value) { asked = true; listModels(); buttons(); return; } // who types fast is quicker than the list
  const model = $("model").value, body = { model, stream: true, stream_options: { include_usage: true }, messages: asMessages(current.messages) };
  const message = { role: "assistant", model, text: "", reasoning: "", calls: [] };
  current.messages.push(message);
  const node = nodeOf(message), calls = new Map();
  node.classList.add("waiting");
  node.setAttribute("aria-busy", "true");
  $("messages").append(node);
  $("messages").scrollTop = $("messages").scrollHeight;
  let failure = "", timer = 0, pause = RENDER_MS;
  const state = { began: performance.now(), first: 0, tokens: 0, usage: null };
  const draw = () => {
    timer = 0;
    const log = $("messages"), down = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
    const began = performance.now();
    fill(node, message);
    pause = Math.max(RENDER_MS, 4 * (performance.now() - began)); // a long answer is drawn less often
    if (down) log.scrollTop = log.scrollHeight;
    speed(state);
  };
  const chunk = (value) => {
    if (value.error) { failure = value.error.message || "the answer broke"; return; }
    if (value.usage) state.usage = value.usage;
    for (const choice of value.choices || []) {
      const delta = choice.delta || {};
      if (!state.first) state.first = performance.now();
      if (delta.content) { message.text += delta.content; state.tokens++; }
      if (delta.reasoning_text || delta.reasoning_content) message.reasoning += delta.reasoning_text || delta.reasoning_content;
      for (const call of delta.tool_calls || []) {
        const key = call.index ?? call.id;
        if (!calls.has(key)) { const one = { name: "", arguments: "" }; calls.set(key, one); message.calls.push(one); }
        const one = calls.get(key);
        one.name += call.function?.name || "";
        one.arguments += call.function?.arguments || "";
      }
    }
    node.classList.remove("waiting");
    timer ||= setTimeout(draw, pause);
  };
  const end = (status) => {
    clearTimeout(timer);
    running = null;
    node.classList.remove("waiting");
    node.removeAttribute("aria-busy");
    if (status === "cancelled") message.text += message.text ? "\n\n*(stopped)*" : "*(stopped)*";
    else if (status !== "complete" && !failure) failure = status === "lost" ? "the connection was lost for too long" : "the answer broke off";
    if (!message.text && !message.calls.length && !message.reasoning) current.messages = current.messages.filter((m) => m !== message);
    if (failure) current.messages.push({ role: "error", text: failure });
    save(); showAll(); buttons(); speed(state, true);
  };
  const id = socket.request("/v1/chat/completions", body, (frame) => {
    if (frame.type === "event") { if (frame.data.trim() !== "[DONE]") { try { chunk(JSON.parse(frame.data)); } catch { /* not ours to judge */ } } }
    else if (frame.type === "answer") failure = frame.body?.error?.message || "no answer";
    else if (frame.type === "error") { failure = frame.error?.message || "refused"; end("complete"); }
    else if (frame.type === "end") end(frame.status);
  });
  running = { id };
  buttons();
}

function speed(state, last = false) {
  const seconds = (performance.now() - (state.first || state.began)) / 1000, tokens = state.usage?.completion_tokens ?? state.tokens;
  const rate = seconds > 0.2 ? `, ${(tokens / seconds).toFixed(0)} a second` : "";
  $("speed").textContent = tokens ? `${last && state.usage ? `${state.usage.prompt_tokens} + ` : ""}${tokens} tokens${rate}` : "";
}

function buttons() {
  $("stop").disabled = running === null;
  $("send").disabled = busy();
  $("retry").disabled = busy() || !current?.messages.some((m) => m.role === "user");
}

$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("prompt").value.trim();
  if (busy() || (!text && !images.length)) return;
  if (!current) begin();
  if (!current.messages.length) current.title = text.slice(0, 60) || "Image";
  current.messages.push({ role: "user", text, images });
  images = [];
  $("images").replaceChildren();
  $("prompt").value = "";
  save(); showAll(); ask();
});
$("prompt").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); $("ask").requestSubmit(); }
});
document.addEventListener("keydown", (event) => { if (event.key === "Escape" && running && !$("key-dialog").open) socket.cancel(running.id); });
$("stop").addEventListener("click", () => { if (running) socket.cancel(running.id); });
$("retry").addEventListener("click", () => {
  if (busy() || !current) return;
  while (current.messages.length && current.messages.at(-1).role !== "user") current.messages.pop();
  showAll(); ask();
});
$("new").addEventListener("click", () => { if (!busy()) { begin(); showAll(); $("prompt").focus(); } });
$("file").addEventListener("change", async () => {
  for (const file of $("file").files) {
    if (file.size > 5_000_000) { $("speed").textContent = `${file.name} is larger than 5 MB`; continue; }
    const url = await new Promise((resolve) => { const reader = new FileReader(); reader.onload = () => resolve(reader.result); reader.readAsDataURL(file); });
    images.push(url);
    const image = document.createElement("img");
    image.src = url;
    image.alt = file.name;
    $("images").append(image);
  }
  $("file").value = "";
});

// --- the frame ------------------------------------------------------------------------------------------------------------

function theme(light) { document.documentElement.classList.toggle("light", light); keep("rightseat-light", light ? "1" : ""); }
$("theme").addEventListener("click", () => theme(!document.documentElement.classList.contains("light")));
theme(kept("rightseat-light") === null ? matchMedia("(prefers-color-scheme: light)").matches : kept("rightseat-light") === "1");

function show(dashboard) {
  $("chat").hidden = dashboard;
  $("dashboard").hidden = !dashboard;
  $("show-chat").setAttribute("aria-pressed", String(!dashboard));
  $("show-dashboard").setAttribute("aria-pressed", String(dashboard));
  if (dashboard) startDashboard(); else { stopDashboard(); socket.unlock(); }
}
$("show-chat").addEventListener("click", () => show(false));
$("show-dashboard").addEventListener("click", () => show(true));

let listing = false;
function listModels() {
  if (listing) return;
  listing = true;
  socket.request("/v1/models", null, (frame) => {
    if (!listing || frame.type === "head") return; // an answer has a head and an end, too
    listing = false;
    const chosen = kept("rightseat-model"), models = (frame.body?.data || []).map((m) => m.id).filter((id) => !/embedding/.test(id));
    if (models.length) $("model").replaceChildren(...models.map((id) => new Option(id, id, false, id === chosen)));
    if (!asked) return;
    asked = false;
    if ($("model").value) ask();
    else trouble(frame.error?.message || frame.body?.error?.message || "there is no model: log an account in, on the dashboard");
  });
}
$("model").addEventListener("change", () => keep("rightseat-model", $("model").value));

const socket = new Socket((text) => { $("connection").textContent = text; });
if (!current) begin();
showAll(); buttons(); listModels();
if (location.hash === "#dashboard") show(true); else $("prompt").focus();

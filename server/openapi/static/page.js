"use strict";
// Sends what is filled in and shows the answer. Whatever came over the wire is set as text, never as markup.

const TOKEN_OF = { sign_in: "member", refresh_session: "member", staff_sign_in: "staff" };
const SHOWN_HEADERS = ["content-type", "retry-after", "www-authenticate", "idempotency-replayed", "x-request-id"];

const field = (id) => document.getElementById(id);

function element(name, text, className) {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return "page-" + Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function addKeyMaker(input) {
  input.value = newKey();
  const button = element("button", "New key", "small");
  button.type = "button";
  button.addEventListener("click", () => {
    input.value = newKey();
  });
  input.closest("label").after(button);
}

function requestOf(form) {
  let path = form.dataset.path;
  const query = new URLSearchParams();
  const headers = {};
  for (const input of form.querySelectorAll("input[data-in]")) {
    const name = input.dataset.name;
    const value = input.value.trim();
    if (input.dataset.in === "path") path = path.replace(`{${name}}`, encodeURIComponent(value));
    else if (value && input.dataset.in === "query") query.set(name, value);
    else if (value) headers[name] = value;
  }
  const credential = form.dataset.credential;
  if (credential) {
    const token = field(`credential-${credential}`).value.trim();
    if (token) headers.Authorization = `Bearer ${token}`;
  }
  const options = { method: form.dataset.method, headers, credentials: "omit", cache: "no-store", redirect: "error" };
  const body = form.querySelector("textarea");
  if (body) {
    headers["Content-Type"] = "application/json";
    options.body = body.value;
  }
  const search = query.toString();
  return [search ? `${path}?${search}` : path, options];
}

function readAs(blob, method) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader[method](blob);
  });
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function bodyOf(response) {
  const type = response.headers.get("content-type") || "";
  const blob = await response.blob();
  if (!blob.size) return [element("p", "No body.", "hint"), undefined];
  if (type.startsWith("image/")) {
    const image = document.createElement("img");
    image.alt = "The picture that was answered";
    image.src = await readAs(new Blob([blob], { type }), "readAsDataURL");
    return [image, undefined];
  }
  const text = await readAs(blob, "readAsText");
  const value = type.includes("json") ? parsed(text) : undefined;
  return [element("pre", value === undefined ? text : JSON.stringify(value, null, 2)), value];
}

function keepTokens(form, value) {
  const kind = TOKEN_OF[form.dataset.operation];
  if (!kind || !value || typeof value.access_token !== "string") return "";
  field(`credential-${kind}`).value = value.access_token;
  if (typeof value.refresh_token === "string") {
    const refresh = document.querySelector('form[data-operation="refresh_session"] textarea');
    refresh.value = JSON.stringify({ refresh_token: value.refresh_token }, null, 2);
  }
  return `The ${kind} token is filled in above.`;
}

async function send(form) {
  const place = form.parentElement.querySelector(".answer");
  const button = form.querySelector("button[type=submit]");
  button.disabled = true;
  place.classList.remove("bad");
  place.replaceChildren(element("p", "Waiting for the answer…", "hint"));
  try {
    const [url, options] = requestOf(form);
    const startedAt = performance.now();
    const response = await fetch(url, options);
    const [shown, value] = await bodyOf(response);
    const took = Math.round(performance.now() - startedAt);
    const lines = SHOWN_HEADERS.filter((name) => response.headers.has(name)).map((name) => `${name}: ${response.headers.get(name)}`);
    place.classList.toggle("bad", !response.ok);
    place.replaceChildren(
      element("strong", `${response.status} ${response.statusText} in ${took} ms`),
      element("pre", lines.join("\n"), "hint"),
      shown,
    );
    const note = response.ok ? keepTokens(form, value) : "";
    if (note) place.append(element("p", note));
  } catch (error) {
    place.classList.add("bad");
    place.replaceChildren(element("p", `The request did not get through: ${error.message}`));
  } finally {
    button.disabled = false;
  }
}

function openTarget() {
  const target = location.hash.length > 1 ? field(decodeURIComponent(location.hash.slice(1))) : null;
  if (!target || !target.classList.contains("operation")) return;
  target.hidden = false;
  target.open = true;
  target.scrollIntoView();
  target.querySelector("summary").focus({ preventScroll: true });
}

function applyFilter() {
  const wanted = field("filter").value.trim().toLowerCase();
  let count = 0;
  for (const operation of document.querySelectorAll(".operation")) {
    const text = `${operation.id} ${operation.querySelector("summary").textContent}`.toLowerCase();
    operation.hidden = !text.includes(wanted);
    if (!operation.hidden) count += 1;
  }
  for (const chapter of document.querySelectorAll(".chapter")) {
    chapter.hidden = !chapter.querySelector(".operation:not([hidden])");
  }
  field("filter-count").textContent = wanted ? `${count} found.` : "";
}

for (const form of document.querySelectorAll("form[data-operation]")) {
  for (const input of form.querySelectorAll('input[data-name="Idempotency-Key"]')) addKeyMaker(input);
  form.querySelector("button[type=submit]").disabled = false;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(form);
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
}
// Otherwise a browser fills in what was typed before the page was loaded again.
for (const input of document.querySelectorAll(".credentials input")) input.value = "";
field("filter").addEventListener("input", applyFilter);
window.addEventListener("hashchange", openTarget);
openTarget();

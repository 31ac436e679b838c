// Sends the token of a mailed link back by POST. The token stands behind the #, which browsers never send to a server;
// it leaves the address bar at once, so that it does not stay in the history either.
"use strict";

const form = document.getElementById("form");
const answer = document.getElementById("answer");
const button = form.querySelector("button");
const typed = document.getElementById("typed");
const needsToken = form.dataset.needsToken === "yes";
const token = location.hash.slice(1);
const isComplete = token.length >= 16;
history.replaceState(null, "", location.pathname);

function say(text, isProblem) {
  answer.textContent = text;
  answer.className = isProblem ? "problem" : "";
}

function finish(text) {
  form.hidden = true;
  document.getElementById("lead").hidden = true;
  say(text, false);
}

async function save(reply) {
  const file = /filename="([^"]+)"/.exec(reply.headers.get("Content-Disposition") || "");
  if (!file) return;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await reply.blob());
  link.download = file[1];
  link.click();
}

async function submit(event) {
  event.preventDefault();
  const message = {};
  for (const field of form.querySelectorAll("input[name]")) {
    if (!field.closest("[hidden]")) message[field.name] = field.value;
  }
  if (needsToken && isComplete) message[form.dataset.tokenName] = token;
  button.disabled = true;
  say("One moment…", false);
  try {
    const reply = await fetch(form.dataset.action, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(message),
      credentials: "omit",
    });
    if (reply.ok) {
      await save(reply);
      finish(form.dataset.done);
      return;
    }
    const problem = await reply.json();
    const details = (problem.errors || []).map((error) => error.detail);
    say([problem.title, problem.detail, ...details].filter(Boolean).join(" "), true);
  } catch (error) {
    say("We could not reach the shop. Check your connection and try again.", true);
  }
  button.disabled = false;
}

form.addEventListener("submit", submit);
if (typed && !isComplete) {
  typed.hidden = false;
} else if (needsToken && !isComplete) {
  button.disabled = true;
  say("This link is not complete. Open it from the mail again.", true);
}

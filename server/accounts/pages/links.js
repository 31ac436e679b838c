// Sends the token of a mailed link back by POST. The token stands behind the #, which browsers never send to a server;
// it leaves the address bar at once, so that it does not stay in the history either.
"use strict";

const form = document.getElementById("form");
const answer = document.getElementById("answer");
const button = form.querySelector("button");
const field = document.getElementById("field");
const needsToken = form.dataset.needsToken === "yes";
const token = location.hash.slice(1);
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

async function submit(event) {
  event.preventDefault();
  const message = needsToken ? { token } : {};
  if (field) message[field.name] = field.value;
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
if (needsToken && token.length < 16) {
  button.disabled = true;
  say("This link is not complete. Open it from the mail again.", true);
}

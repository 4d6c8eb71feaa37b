// Passkeys are the one thing here that needs a script. A form with data-passkey is shown where the browser has them: it asks for options at
// data-options, has the browser make a passkey ("create") or sign with one ("get"), sends the result to the form's action, and goes where
// the answer says.
"use strict";

const supported = window.PublicKeyCredential && PublicKeyCredential.parseCreationOptionsFromJSON && PublicKeyCredential.parseRequestOptionsFromJSON;

async function send(url, body) {
  const response = await fetch(url, {
    method: "POST", headers: {"Content-Type": "application/json"}, body: body && JSON.stringify(body), redirect: "error",
  });
  const answer = await response.json().catch(() => ({error: "Something went wrong. Try again in a moment."}));
  if (response.ok) return answer;
  if (answer.location) location.assign(answer.location);
  throw new Error(answer.error);
}

async function ask(form) {
  const options = (await send(form.dataset.options)).publicKey;
  return form.dataset.passkey === "create"
    ? navigator.credentials.create({publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options)})
    : navigator.credentials.get({publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options)});
}

function explain(error) {
  switch (error.name) {
    case "NotAllowedError": return "That was cancelled, or took too long.";
    case "InvalidStateError": return "This device has a passkey for this account already.";
    default: return error.message;
  }
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
  if (!supported) continue;
  form.hidden = false;
  const button = form.querySelector("button"), alert = form.querySelector("[role=alert]");
  form.addEventListener("submit", async event => {
    event.preventDefault();
    button.disabled = true;
    alert.hidden = true;
    try {
      const credential = await ask(form);
      location.assign((await send(form.action, credential.toJSON())).location);
    } catch (error) {
      alert.textContent = explain(error);
      alert.hidden = false;
      button.disabled = false;
      button.focus();
    }
  });
}
